// The page's upload beyond Gradio's own: takes files that the browser does not call images (DICOM,
// also without a suffix), takes what is dropped or pasted anywhere on the page, and shows what it
// cannot draw (TIFF, HEIC, DICOM) as the server saw it.
(() => {
  const FIELD = '#upload input[type=file]';
  const strange = (file) => !file.type.startsWith('image/');
  const renamed = (files) => {
    const transfer = new DataTransfer();
    for (const file of files) { // Gradio takes nothing but image/*
      transfer.items.add(strange(file) ? new File([file], file.name, { type: 'image/x-unknown' }) : file);
    }
    return transfer;
  };
  addEventListener('click', (event) => {
    if (!event.target.matches?.(FIELD)) return;
    // A phone offers its camera for image/*; a desk's dialogue would hide what has no suffix.
    event.target.accept = matchMedia('(pointer: coarse)').matches ? 'image/*,.dcm,.dicom,application/dicom' : '';
  }, true);
  addEventListener('change', (event) => {
    const { target } = event;
    if (target.matches?.(FIELD) && [...target.files].some(strange)) target.files = renamed(target.files).files;
  }, true);
  addEventListener('drop', (event) => {
    const files = [...(event.dataTransfer?.files ?? [])];
    if (!event.target.closest?.('#upload') || !files.some(strange)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    event.target.dispatchEvent(new DragEvent('drop', { bubbles: true, cancelable: true, dataTransfer: renamed(files) }));
  }, true);

  // Whatever is shown: an image that is dropped beside the upload would replace the whole page.
  const put = (file) => {
    const field = document.querySelector(FIELD);
    if (!field || !file) return;
    field.files = renamed([file]).files;
    field.dispatchEvent(new Event('change', { bubbles: true }));
    document.querySelector('#stage').scrollIntoView();
  };
  document.addEventListener('mel-open', (event) => put(event.detail));
  const carries = (event) => !event.defaultPrevented && event.dataTransfer?.types.includes('Files');
  addEventListener('dragover', (event) => { if (carries(event)) event.preventDefault(); });
  addEventListener('drop', (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    const { dataTransfer } = event;
    const many = document.querySelector('.drop'); // missed by a hand, where it is in sight
    if (!many?.getClientRects().length) put(dataTransfer.files[0]);
    else many.dispatchEvent(new DragEvent('drop', { bubbles: true, cancelable: true, dataTransfer }));
  });
  addEventListener('paste', (event) => {
    if (!event.defaultPrevented && event.clipboardData?.files.length) put(event.clipboardData.files[0]);
  });

  const show = () => {
    const seen = document.querySelector('#preview img');
    for (const picture of document.querySelectorAll('#upload img.unseen')) {
      if (!seen) continue;
      picture.classList.remove('unseen');
      picture.src = seen.src;
    }
  };
  addEventListener('error', (event) => {
    if (!event.target.matches?.('#upload img')) return;
    event.target.classList.add('unseen');
    show();
  }, true);
  new MutationObserver(show).observe(document, { childList: true, subtree: true });
})();
