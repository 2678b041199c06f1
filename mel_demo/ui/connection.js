// The connection to the server, in the head before Gradio: says when it is lost and when it is back,
// and asks again what found no server. Gradio itself says nothing, or loads the page anew.
(() => {
  const PAUSE = 1000; // milliseconds
  const ASKED_AGAIN = /\/gradio_api\/(run\/predict|queue\/join|upload)\b/;
  const ask = window.fetch.bind(window);
  const say = (lost) => document.querySelectorAll('.lost').forEach((note) => { note.hidden = !lost; });
  const answers = () => ask('./gradio_api/app_id').then((answer) => answer.ok, () => false);
  const pause = () => new Promise((resolve) => { setTimeout(resolve, PAUSE); });

  let waiting = null;
  const wait = async () => {
    let away = false;
    while (!await answers()) {
      away = true;
      say(true);
      await pause();
    }
    waiting = null;
    say(false);
    return away;
  };
  /** When the server answers: whether it had been away. */
  const back = () => waiting ??= wait();

  // Gradio's own stream, which lasts as long as the page and ends with the server. What the page
  // shows is asked for anew after it: another server knows nothing of it.
  const listen = async (address, answer) => {
    const reader = answer.body.getReader();
    try {
      while (!(await reader.read()).done);
    } catch { /* broken off */ }
    for (let next = null; !next; ) {
      await pause(); // an orderly end still answers
      await back();
      next = await ask(address).catch(() => null);
      if (next?.ok) listen(address, next);
    }
    document.dispatchEvent(new Event('mel-again'));
  };

  window.fetch = async (...asked) => {
    const address = asked[0].url ?? `${asked[0]}`;
    if (address.includes('/gradio_api/heartbeat/')) {
      const answer = await ask(...asked);
      listen(address, answer.clone());
      return answer;
    }
    for (let again = ASKED_AGAIN.test(address); ; again = false) {
      try {
        return await ask(...asked);
      } catch (error) {
        if (!ASKED_AGAIN.test(address) || (!await back() && !again)) throw error;
      }
    }
  };
})();
