"""What the browser does by itself: language, zoom, the link, the report's download, taps."""

from mel_demo.decision.operating_point import MAX_TARGET, MIN_TARGET
from mel_demo.decision.prevalence import MAX_PREVALENCE, MIN_PREVALENCE

START = f"""(sensitivity, prevalence) => {{
  const query = new URLSearchParams(location.search);
  const given = (name, low, high, otherwise) => {{
    const number = parseFloat(query.get(name));
    if (!Number.isFinite(number)) return otherwise;
    return +(100 * Math.min(Math.max(number, low), high)).toFixed(2);
  }};
  return [
    given('sensitivity', {MIN_TARGET}, {MAX_TARGET}, sensitivity),
    given('prevalence', {MIN_PREVALENCE}, {MAX_PREVALENCE}, prevalence),
    navigator.language,
  ];
}}"""
"""Target sensitivity and prevalence in percent -> those that the page's address carries, and the
language that page.js has chosen."""

REMEMBER = """(sensitivity, prevalence) => {
  const address = new URL(location);
  address.searchParams.set('sensitivity', +(sensitivity / 100).toFixed(4));
  address.searchParams.set('prevalence', +(prevalence / 100).toFixed(4));
  history.replaceState(history.state, '', address);
}"""
"""Target sensitivity and prevalence in percent -> the page's address, so that it carries them."""

KEEP = """(...kept) => {
  try {
    sessionStorage.setItem('mel-kept', JSON.stringify(kept));
  } catch { /* then the image has to be chosen again */ }
  location.reload();
}"""
"""The upload (by its address on the server) and both switches -> kept over a reload."""

RESTORE = """(...now) => {
  const header = document.querySelector('#header header');
  document.title = header.querySelector('h1').textContent;
  document.documentElement.style.setProperty('--take', JSON.stringify(header.dataset.take));
  let kept = null;
  try {
    kept = JSON.parse(sessionStorage.getItem('mel-kept'));
    sessionStorage.removeItem('mel-kept');
  } catch { /* storage may be forbidden */ }
  if (kept?.[0]) document.body.classList.add('is-judging');
  return kept ?? now;
}"""
"""What KEEP has kept, or the same again; the document is named by its heading, and style.css told
what the upload says on a phone."""

ASKED = """(image, language, index, ...more) => {
  const settings = more.slice(0, 4);
  if (image) {
    document.body.dataset.asked = settings;
    document.body.classList.add('is-judging');
  }
  return [image, language, index, ...settings];
}"""
"""What an image is judged at -> the same, noted for JUDGED; from a camera or the clipboard's button
it comes without a word. None is no image: Gradio clears the old one where a new one is dropped."""

JUDGED = """(...settings) => {
  const { asked } = document.body.dataset;
  if (asked === undefined) return;
  document.body.classList.remove('is-judging');
  if (String(settings) !== asked) document.dispatchEvent(new Event('mel-again'));
}"""
"""The wait is over, also where the answer is none, or the same as before; where a control was moved
meanwhile, the answer is asked for again. Not where another image is on its way (page.js)."""

LATE = """(shown, known) => {
  if (shown && !known) document.dispatchEvent(new Event('mel-late'));
}"""
"""Whether there is an image, and whether there was one when the answer was asked for that has just
come: it may have been slower than the models, and says nothing of the image."""

COPY = """async () => {
  const button = document.querySelector('#link');
  try {
    await navigator.clipboard.writeText(location.href);
    button.classList.add('done');
    setTimeout(() => button.classList.remove('done'), 2500);
  } catch {
    // Without https a page may not write to the clipboard: show the address to be copied by hand.
    prompt('', location.href);
  }
}"""

SAVE = """(page) => {
  if (!page) return;
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([page], {type: 'text/html'}));
  link.download = 'melanoma-screening-report.html';
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}"""
"""One HTML document -> a download, made in the browser's memory."""

TAPS = """document.addEventListener('click', event => {
  const near = selector => event.target.closest?.(selector);
  const field = near('#roc .field');
  if (field) {
    const box = field.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width, y = (box.bottom - event.clientY) / box.height;
    if (x >= -0.02 && x <= 1.02 && y >= -0.02 && y <= 1.02) trigger('click', {x, y});
  }
  const drawing = near('[data-drawing]');
  if (drawing) trigger('select', {name: drawing.dataset.drawing});
  if (near('[data-another]')) trigger('clear');
  const language = near('[data-language]')?.dataset.language;
  if (language && language !== document.documentElement.lang) {
    try {
      localStorage.setItem('mel-language', language);
    } catch { return; }  // Without storage the page could not know it after the reload.
    trigger('apply');
  }
});
document.addEventListener('mel-again', () => trigger('back'));
document.addEventListener('mel-late', () => {
  trigger('back');
  trigger('retry');
});"""
"""Clicks inside HTML -> events: click with the ROC figure's own coordinates (0..1), select with a
drawing's name, clear for another image, apply for another language. And back where the answer has
to be asked for again (JUDGED, connection.js), retry where the maps have to be as well (LATE)."""
