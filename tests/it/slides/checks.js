// What is wrong with the text of a figure, which is open in the browser at its own size.
(() => {
  const wrong = [];
  const box = (element) => element.getBoundingClientRect();
  const words = (text) => JSON.stringify(text.textContent);
  const boxes = [...document.querySelectorAll('rect')].filter((rect) => !rect.closest('defs')).map(box);
  const texts = [...document.querySelectorAll('text')];
  for (const text of texts) {
    const scale = text.getScreenCTM().a;
    const size = parseFloat(getComputedStyle(text).fontSize) * scale;
    if (size < 23.9) wrong.push(`${words(text)} has ${size} pixels`);
    // The smallest box around its middle is the one that it is in; around all is the ground of the figure.
    const { left, right, top, bottom } = box(text);
    const [x, y] = [(left + right) / 2, (top + bottom) / 2];
    const around = boxes.filter((b) => b.left < x && x < b.right && b.top < y && y < b.bottom);
    const [inner] = around.sort((a, b) => a.width * a.height - b.width * b.height);
    if (!inner || left < inner.left || right > inner.right) wrong.push(`${words(text)} is cut off`);
    const ground = boxes[0];
    // A line of text has room above its letters and below.
    const room = (bottom - top) / 5;
    if (top + room < ground.top || bottom - room > ground.bottom) wrong.push(`${words(text)} is cut off`);
    for (const other of texts.slice(texts.indexOf(text) + 1)) {
      const b = box(other);
      const meet = left < b.right && b.left < right && top + room < b.bottom - room && b.top + room < bottom - room;
      if (meet) wrong.push(`${words(text)} and ${words(other)} meet`);
    }
  }
  if (texts.length === 0) wrong.push('no text');
  return wrong.join('; ');
})()
