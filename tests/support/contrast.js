// The texts of the page that stand out too little from what is behind them: WCAG 2.2, 1.4.3 (4.5:1,
// large text 3:1). Symbols without a letter or digit are no text. Returns ["text: ratio", ...].
() => {
  const parse = (colour) => {
    const numbers = colour.match(/[\d.]+/g).map(Number);
    const scale = colour.startsWith("color(srgb") ? 255 : 1;
    return [...numbers.slice(0, 3).map((value) => value * scale), numbers[3] ?? 1];
  };
  const over = (top, under) => under.map((value, i) => top[i] * top[3] + value * (1 - top[3]));
  const luminance = (rgb) => {
    const linear = rgb.map((value) => {
      const v = value / 255;
      return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const behind = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement)
      layers.push(parse(getComputedStyle(e).backgroundColor));
    return layers.reduceRight((under, top) => over(top, under), [255, 255, 255]);
  };
  const poor = [];
  const root = document.querySelector(".gradio-container") ?? document.body;
  const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  for (let node; (node = texts.nextNode()); ) {
    const element = node.parentElement;
    const style = getComputedStyle(element);
    const seen = element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
    if (!seen || !/[\p{L}\p{N}]/u.test(node.data) || element.closest("style, script, .sr")) continue;
    const under = behind(element);
    const ink = parse(element instanceof SVGElement ? style.fill : style.color);
    const [dark, light] = [luminance(over(ink, under)), luminance(under)].sort((a, b) => a - b);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const ratio = (light + 0.05) / (dark + 0.05);
    if (ratio < (large ? 3 : 4.5)) poor.push(`${node.data.trim()}: ${ratio.toFixed(2)}`);
  }
  return poor;
}
