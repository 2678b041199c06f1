// Runs in the head, before Gradio: the language first, then what a click does without the server.
(() => {
  const spoken = ['en', 'de', 'es'];
  let kept = null;
  try { kept = localStorage.getItem('mel-language'); } catch { /* storage may be forbidden */ }
  const asked = navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase());
  const language = [kept, ...asked].find((tag) => spoken.includes(tag)) ?? 'en';
  // Gradio's own words follow the browser's language: one that we do not have would mix two.
  Object.defineProperty(navigator, 'language', { get: () => language, configurable: true });
  Object.defineProperty(navigator, 'languages', { get: () => [language], configurable: true });
  document.documentElement.lang = language;

  const view = { zoom: 1, x: 0, y: 0 };
  const show = () => {
    const most = 50 * (view.zoom - 1);
    view.x = Math.min(Math.max(view.x, -most), most);
    view.y = Math.min(Math.max(view.y, -most), most);
    for (const name of ['zoom', 'x', 'y']) {
      document.documentElement.style.setProperty(`--${name}`, view[name] + (name === 'zoom' ? '' : '%'));
    }
    document.body.classList.toggle('zoomed', view.zoom > 1);
  };
  let drag = null, moved = false;
  addEventListener('pointerdown', (event) => {
    moved = false;
    if (view.zoom > 1 && event.target.closest('.view')) drag = event;
  });
  addEventListener('pointermove', (event) => {
    if (!drag) return;
    const box = event.target.closest('.view')?.getBoundingClientRect();
    if (!box) return;
    view.x += (100 * (event.clientX - drag.clientX)) / box.width;
    view.y += (100 * (event.clientY - drag.clientY)) / box.height;
    moved ||= Math.hypot(event.movementX, event.movementY) > 1;
    drag = event;
    show();
  });
  for (const end of ['pointerup', 'pointercancel']) addEventListener(end, () => { drag = null; });
  const arrows = { ArrowLeft: [10, 0], ArrowRight: [-10, 0], ArrowUp: [0, 10], ArrowDown: [0, -10] };
  addEventListener('keydown', (event) => {
    const step = event.target.closest?.('.view') && view.zoom > 1 && arrows[event.key];
    if (!step) return;
    event.preventDefault();
    view.x += step[0];
    view.y += step[1];
    show();
  });

  addEventListener('click', (event) => {
    const frame = event.target.closest?.('.view');
    if (frame && !moved) {
      const box = frame.getBoundingClientRect();
      const keyboard = event.detail === 0;
      if (view.zoom > 1) Object.assign(view, { zoom: 1, x: 0, y: 0 });
      else {
        view.zoom = 2.5;
        view.x = keyboard ? 0 : 125 - (250 * (event.clientX - box.left)) / box.width;
        view.y = keyboard ? 0 : 125 - (250 * (event.clientY - box.top)) / box.height;
      }
      show();
    }
    const maps = event.target.closest?.('[data-maps]');
    if (maps) {
      const hidden = document.body.classList.toggle('bare');
      document.querySelectorAll('[data-maps]').forEach((one) => { one.ariaPressed = !hidden; });
    }
    if (event.target.closest?.('[data-another]')) {
      judging(false);
      document.querySelector('#header')?.scrollIntoView();
    }
    if (event.target.closest?.('[data-choose]')) document.querySelector('#upload input[type=file]')?.click();
  });

  // Within a frame of the choice: that something happens, until the server has answered.
  const judging = (on) => {
    document.body.classList.toggle('is-judging', on);
    if (on) delete document.body.dataset.asked; // until it is asked about, see ASKED and JUDGED
  };
  addEventListener('change', (event) => {
    if (event.target.matches?.('#upload input[type=file]')) judging(true);
  }, true);
  addEventListener('drop', (event) => {
    if (event.target.closest?.('#upload') && event.dataTransfer?.files.length) judging(true);
  }, true);
  addEventListener('click', (event) => {
    const drawing = event.target.closest?.('[data-drawing]')?.dataset.drawing;
    // What is there already is not judged again.
    if (drawing && !document.querySelector('#upload img')?.src.endsWith(`/${drawing}.jpg`)) judging(true);
  }, true);
  // Who asked by keyboard goes on at the answer where the answer has hidden what had the focus.
  let focused = null;
  addEventListener('focusin', (event) => { focused = event.target; });
  const regain = () => {
    const lost = focused && !focused.getClientRects().length;
    if (lost && [focused, document.body].includes(document.activeElement)) {
      document.querySelector('#hero .hero.now')?.focus({ preventScroll: true });
    }
  };
  // Gradio's own in the reader's language: what a screen reader is told, and the ends of sliders.
  const named = () => {
    const said = document.querySelector('#header header')?.dataset;
    const answer = document.querySelector('#hero');
    if (!said || !answer) return;
    answer.ariaLive = 'polite'; // what comes into an element that was there before is read aloud
    const name = (part, words) => {
      if (!part || !words || part.ariaLabel === words) return;
      part.ariaLabel = words;
      if (part.title) part.title = words;
    };
    ['file', 'camera', 'paste'].forEach((key, place) => {
      name(document.querySelectorAll('#upload .source-selection button')[place], said[key]);
    });
    name(document.querySelector('#upload .top-panel button'), said.remove);
    for (const image of document.querySelectorAll('#upload img')) {
      if (image.alt !== said.shown) image.alt = said.shown;
    }
    for (const field of document.querySelectorAll('[data-testid=range-input], [data-testid=number-input]')) {
      name(field, field.closest('.block')?.querySelector('label')?.textContent.trim());
    }
    for (const switches of document.querySelectorAll('fieldset.block')) {
      name(switches, switches.querySelector('[data-testid=block-info]')?.textContent.trim());
    }
    for (const { firstChild } of document.querySelectorAll('[data-testid=min-value], [data-testid=max-value]')) {
      if (language !== 'en' && firstChild?.data.includes('.')) firstChild.data = firstChild.data.replace('.', ',');
    }
  };
  let hero = '';
  const follow = () => {
    named();
    if (document.querySelector('.toast-body.error')) judging(false);
    const now = document.querySelector('#hero .hero.now');
    if (!now || now.outerHTML === hero) return;
    hero = now.outerHTML;
    const waited = document.body.classList.contains('is-judging');
    // Not by what is still said of the image before.
    const answered = !now.matches('.empty') && (!waited || 'asked' in document.body.dataset);
    if (answered) judging(false);
    const verdict = '.refer, .no_referral, .disagree, .other_cancer, .insisted';
    document.body.classList.toggle('judged', now.matches(verdict));
    setTimeout(regain, 100); // the rest of the answer comes after the hero
    if (waited && answered && innerWidth <= 640) now.scrollIntoView({ block: 'start' });
  };
  new MutationObserver(follow).observe(document, { childList: true, subtree: true, characterData: true });
})();
