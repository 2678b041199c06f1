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

LOADED = """(names) => {
  document.title = document.querySelector('#header h1')?.textContent ?? document.title;
  JSON.parse(names).forEach((name, index) => {
    const button = document.querySelectorAll('#examples button')[index];
    if (button) button.ariaLabel = button.title = name;
  });
}"""
"""JSON list of titles -> the drawings' buttons named by them (Gradio leaves them without a name),
the document by its heading."""

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
  const plot = event.target.closest?.('#roc .js-plotly-plot');
  if (!plot || !plot._fullLayout) return;
  const {xaxis, yaxis} = plot._fullLayout, box = plot.getBoundingClientRect();
  const x = xaxis.p2d(event.clientX - box.left - xaxis._offset);
  const y = yaxis.p2d(event.clientY - box.top - yaxis._offset);
  if (x >= -0.02 && x <= 1.02 && y >= -0.02 && y <= 1.02) trigger('click', {x, y});
});"""
"""A tap anywhere in the ROC figure -> a click event with the figure's own coordinates (0..1).

Plotly tells of taps on its points alone, and a finger rarely hits one.
"""
