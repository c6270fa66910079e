// A page from its nodes: nothing in it runs or loads, whatever its nodes are called. Returns where elements lie.
// Own copies of the methods: elements named "createElement" or "appendChild" hide those of documents and forms.
(told) => {
  const { nodes, asked } = JSON.parse(told);
  const own = (method) => Function.prototype.call.bind(method);
  const get = (of, name) => own(Object.getOwnPropertyDescriptor(of.prototype, name).get);
  const create = own(Document.prototype.createElementNS), text = own(Document.prototype.createTextNode);
  const append = own(Node.prototype.appendChild), set = own(Element.prototype.setAttribute);
  const remove = own(Element.prototype.remove), shadow = own(Element.prototype.attachShadow);
  const rect = own(Element.prototype.getBoundingClientRect), parent = get(Node, "parentNode");
  const scrollTop = own(Object.getOwnPropertyDescriptor(Element.prototype, "scrollTop").set);
  const scrollLeft = own(Object.getOwnPropertyDescriptor(Element.prototype, "scrollLeft").set);
  const root = get(Document, "documentElement"), body = get(Document, "body"), height = get(Element, "scrollHeight");
  const styleHtml = get(HTMLElement, "style"), styleSvg = get(SVGElement, "style");
  const setNamed = own(Element.prototype.setAttributeNS);
  const HTML = "http://www.w3.org/1999/xhtml", SVG = "http://www.w3.org/2000/svg";
  const CASED = Object.fromEntries(
    ("clipPath foreignObject linearGradient radialGradient textPath feBlend feColorMatrix feComponentTransfer " +
      "feComposite feConvolveMatrix feDiffuseLighting feDisplacementMap feDropShadow feFlood feFuncA feFuncB feFuncG " +
      "feFuncR feGaussianBlur feImage feMerge feMergeNode feMorphology feOffset fePointLight feSpecularLighting " +
      "feSpotLight feTile feTurbulence").split(" ").map((name) => [name.toLowerCase(), name]));
  // kept as empty tags, so that what counts siblings counts them
  const EMPTY = new Set(["script", "noscript", "template", "meta", "base", "link", "noframes", "noembed"]);
  const BOXES = new Set(["object", "embed", "applet", "frame", "frameset", "fencedframe", "portal"]);
  const made = [], roots = [];
  remove(root(document));
  for (const [up, kind, tag, svg, inShadow, content, attributes] of nodes) {
    const above = up < 0 ? document : inShadow && roots[up] ? roots[up] : made[up];
    let node = null;
    if (above && kind === 2) {
      const sheet = (tag === "link" || tag === "style") && typeof attributes._cssText === "string";
      const name = sheet ? "style" : BOXES.has(tag) ? "div" : svg ? CASED[tag] || tag : tag;
      try {
        node = create(document, svg ? SVG : HTML, name);
      } catch {
        node = create(document, HTML, "div"); // no name of an element
      }
      if (name === "script") set(node, "type", "text/plain");
      if (sheet) append(node, text(document, attributes._cssText.replaceAll("/* rr_split */", "")));
      for (const [key, value] of EMPTY.has(name) ? [] : Object.entries(attributes)) {
        const word = key.toLowerCase(), plain = value === true ? "" : String(value);
        if (value === false || value === null || /^on|^(_csstext|srcdoc|loading|autofocus|ping|target|nonce)$/.test(word)) continue;
        if (word.startsWith("rr_")) {
          const style = (svg ? styleSvg : styleHtml)(node);
          if (word === "rr_width") style.width = plain;
          if (word === "rr_height") style.height = plain;
          if (word === "rr_dataurl" && tag === "canvas") style.background = `url("${encodeURI(plain)}") 0 0 / 100% 100%`;
          if (word === "rr_dataurl" && tag === "img") set(node, "src", plain);
          continue;
        }
        if (word === "src" && !["img", "input", "image"].includes(name)) continue;
        if (word === "value" && name === "textarea") append(node, text(document, plain));
        if (word === "data" || (word === "style" && sheet)) continue;
        try {
          if (word === "xlink:href") setNamed(node, "http://www.w3.org/1999/xlink", key, plain);
          else set(node, key, plain);
        } catch {
          continue; // no name of an attribute
        }
      }
      if (name === "iframe") set(node, "sandbox", "");
      const leaf = EMPTY.has(name) || sheet || name === "iframe" || name === "textarea";
      try {
        append(above, node);
      } catch {
        node = null; // a second element of the document
      }
      made.push(leaf ? null : node);
      roots.push(null);
      if (node && !leaf && attributes.rr_shadow) {
        try {
          roots[roots.length - 1] = shadow(node, { mode: "open" });
        } catch {
          roots[roots.length - 1] = node; // no element that can have one
        }
      }
      continue;
    }
    if (up < 0) node = document;
    else if (above && above !== document && (kind === 3 || kind === 4)) append(above, text(document, content));
    made.push(node);
    roots.push(null);
  }
  made.forEach((node, at) => {
    const attributes = nodes[at][6];
    if (node && attributes && attributes.rr_scrollTop) scrollTop(node, Number(attributes.rr_scrollTop));
    if (node && attributes && attributes.rr_scrollLeft) scrollLeft(node, Number(attributes.rr_scrollLeft));
  });
  const type = get(Node, "nodeType"), host = get(ShadowRoot, "host");
  const around = (node) => {
    const above = parent(node);
    return above && type(above) === 11 ? host(above) : above && type(above) === 1 ? above : null;
  };
  const lies = (node, scrolls) => {
    const { x, y, width, height: tall } = rect(node), middle = [x + width / 2, y + tall / 2];
    if (width < 1 || tall < 1 || getComputedStyle(node).visibility !== "visible") return "hidden";
    for (let at = node; at; at = around(at)) {
      const style = getComputedStyle(at);
      if (style.opacity === "0") return "hidden";
      if (scrolls && (style.position === "fixed" || style.position === "sticky")) return "fixed";
      if (at === node || at === root(document) || at === body(document) || style.overflow === "visible") continue;
      const { left, right, top, bottom } = rect(at);
      if (middle[0] < left || middle[0] >= right || middle[1] < top || middle[1] >= bottom) return "inside";
    }
    return [x, y, width, tall];
  };
  globalThis.measured = () => {
    const tall = Math.max(...[root(document), body(document)].filter(Boolean).map((node) => height(node)));
    return { boxes: asked.map((at) => (made[at] ? lies(made[at], tall > innerHeight) : "hidden")), tall };
  };
}
