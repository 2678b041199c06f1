// The tab "Many images", in the browser: holds the files and their scores, sends one file after
// another to be judged, and asks for the table whenever scores, order or setting have changed.
// Runs where Gradio has made the part: `element`, `server` and `trigger` are Gradio's.
const AT_ONCE = 2; // one is sent while another is judged
const PATIENCE = 10000; // milliseconds, after which an answer is not waited for any more
const part = (selector) => element.querySelector(selector);
const table = () => document.querySelector('#many-table');
const said = (name, values = {}) => part('.many-zone').dataset[name].replace(
  /\{(\w+)\}/g, (_, place) => values[place].toLocaleString(document.documentElement.lang));

let images = [], waiting = [], underway = [];
let stopped = false, lost = false, next = 0, epoch = 0;
let sort = 'verdict', backwards = false;
let saving = 0, saved = 0; // images in the last file that was asked for, and that came
const thumbnails = new CSSStyleSheet();
document.adoptedStyleSheets.push(thumbnails);

// The table: one answer at a time, the next not before the last has come.
let turn = 0, asked = 0, stale = false, timer = null, focused = '';
const sent = () => ({
  images: images.map(({ file, again, thumbnail, ...scores }) => scores), sort, backwards, turn,
});
const draw = (delay = 0) => {
  stale = true;
  timer ??= setTimeout(() => {
    timer = null;
    if (asked && Date.now() - asked < PATIENCE) return;
    stale = false;
    asked = Date.now();
    turn += 1;
    trigger('draw', { sent: sent() });
  }, delay);
};
const drawn = () => {
  if (focused && document.activeElement === document.body) {
    table().querySelector(focused)?.focus({ preventScroll: true });
  }
  const shown = table()?.querySelector('.many-lines')?.dataset.turn;
  if (!asked || (images.length && shown !== `${turn}`)) return;
  asked = 0;
  if (stale) draw();
};
new MutationObserver(drawn).observe(document.body, { childList: true, subtree: true });

const show = () => {
  const done = images.length, total = done + waiting.length + underway.length;
  const going = underway.length > 0;
  part('.many-run').hidden = !total;
  Object.assign(part('progress'), { max: total || 1, value: done, hidden: done === total });
  const state = going ? 'judging' : done < total ? 'stopped' : 'done';
  const why = lost && !going ? `${said('lost')} ` : '';
  part('[role=status]').textContent = why + said(state, { done, total });
  const offered = { stop: going, go: !going && done < total, save: done, clear: !going };
  for (const [name, on] of Object.entries(offered)) part(`[data-do=${name}]`).hidden = !on;
};
const note = (text) => Object.assign(part('.many-note'), { textContent: text, hidden: !text });

const judge = async () => {
  const mine = epoch;
  while (waiting.length && !stopped) {
    const image = waiting.shift();
    underway.push(image);
    show();
    let scores = await server.judge({ binary: true, data: { file: image.file } }).catch(() => null);
    if (mine !== epoch) return; // stopped meanwhile: the image waits again
    underway = underway.filter((other) => other !== image);
    if (!scores && !image.again) { // perhaps the server is away: once more when the person goes on
      waiting.unshift({ ...image, again: true });
      lost = true;
      stop();
      return;
    }
    scores ||= { error: said('silent') };
    if (scores.thumbnail) {
      thumbnails.insertRule(`.thumb-${image.id} { --picture: url("${scores.thumbnail}") }`);
    }
    images.push({ ...image, ...scores });
    draw(waiting.length ? 300 + 8 * images.length : 0);
    show();
  }
};
const go = () => {
  stopped = lost = false;
  while (underway.length < Math.min(AT_ONCE, waiting.length + underway.length)) judge();
};
const stop = () => {
  stopped = true;
  epoch += 1;
  waiting.unshift(...underway);
  underway = [];
  show();
  draw();
};
const clear = () => {
  images = [];
  waiting = [];
  saved = 0;
  thumbnails.replaceSync('');
  note('');
  show();
  draw();
};

const save = () => {
  saving = images.length;
  trigger('save', { sent: sent() });
};
/** Another language that would have come with the next load (scripts.KEEP) does not. */
const stayed = () => {
  try {
    localStorage.setItem('mel-language', document.documentElement.lang);
    sessionStorage.removeItem('mel-kept');
  } catch { /* storage may be forbidden */ }
};

const add = (files, skipped = 0) => {
  const limit = +part('.many-zone').dataset.limit;
  const room = limit - images.length - waiting.length - underway.length;
  const notes = [];
  if (files.length > room) {
    notes.push(said('over', { chosen: files.length, limit, left: files.length - Math.max(0, room) }));
  }
  if (skipped) notes.push(said('skipped', { count: skipped }));
  note(notes.join(' '));
  for (const file of files.slice(0, Math.max(0, room))) {
    next += 1;
    const name = (file.path ?? (file.webkitRelativePath || file.name)).slice(-1000);
    waiting.push({ id: next, name, file });
  }
  if (waiting.length) go();
};

// Of a folder what is named like an image, as the command line has it, and what has no suffix, as
// DICOM files often do.
const inside = async (entry, found) => {
  if (entry.isDirectory) {
    const reader = entry.createReader();
    for (;;) { // a hundred at a time
      const some = await new Promise((take, fail) => reader.readEntries(take, fail));
      if (!some.length) return;
      for (const one of some) if (!one.name.startsWith('.')) await inside(one, found);
    }
  }
  const suffix = entry.name.includes('.') ? entry.name.slice(entry.name.lastIndexOf('.')).toLowerCase() : '';
  if (suffix && !part('.many-zone').dataset.suffixes.split(' ').includes(suffix)) {
    found.skipped += 1;
    return;
  }
  const file = await new Promise((take, fail) => entry.file(take, fail));
  found.files.push(Object.assign(file, { path: entry.fullPath.replace(/^\//, '') }));
};
const dropped = async (transfer) => {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return add([...transfer.files]);
  const found = { files: [], skipped: 0 };
  for (const entry of entries) await inside(entry, found);
  add(found.files, found.skipped);
};

element.addEventListener('change', (event) => {
  if (!event.target.matches('.drop input')) return;
  add([...event.target.files]);
  event.target.value = '';
});
for (const name of ['dragenter', 'dragover', 'dragleave', 'drop']) {
  element.addEventListener(name, (event) => {
    const drop = event.target.closest('.drop');
    if (!drop) return;
    event.preventDefault();
    drop.classList.toggle('over', name === 'dragenter' || name === 'dragover');
    if (name === 'drop') dropped(event.dataTransfer);
  });
}
element.addEventListener('click', (event) => {
  const asked = event.target.closest('[data-do]')?.dataset.do;
  ({ stop, go, clear, save })[asked]?.();
});
document.addEventListener('mel-saved', () => { saved = saving; });
addEventListener('beforeunload', (event) => {
  if (images.length + waiting.length + underway.length === saved) return;
  event.preventDefault(); // the browser asks
  event.stopImmediatePropagation(); // Gradio would end the session before there is an answer
  for (const hand of ['pointerdown', 'keydown']) addEventListener(hand, stayed, { once: true });
}, true);
document.addEventListener('click', (event) => {
  const column = event.target.closest?.('#many-table [data-sort]');
  const opened = event.target.closest?.('#many-table [data-open]');
  if (column) {
    backwards = sort === column.dataset.sort && !backwards;
    sort = column.dataset.sort;
    draw();
  }
  // A line's picture: the same file in the page's own upload, with maps and all.
  if (opened) {
    const { file } = images.find((image) => image.id === +opened.dataset.open);
    document.dispatchEvent(new CustomEvent('mel-open', { detail: file }));
  }
});
document.addEventListener('focusin', (event) => {
  const { sort: by, open: id } = event.target.closest?.('#many-table button')?.dataset ?? {};
  focused = by ? `[data-sort=${by}]` : id ? `[data-open="${id}"]` : '';
});
document.addEventListener('mel-setting', () => { if (images.length) draw(100); });
