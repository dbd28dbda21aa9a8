/* Zoom and calipers on the ECG paper. The scale is read off the sheet (data-mm-per-s, data-mm-per-mv); its viewBox is in mm, so a
   place on the screen becomes a place on the paper through the sheet's own matrix, whatever the zoom. */
(() => {
  "use strict";
  const NS = "http://www.w3.org/2000/svg";
  const STEP_MM = 0.5, LONG_MM = 5, ZOOMS = [1, 1.25, 1.5, 2, 2.5, 3, 4, 6];
  /* A sheet of ten seconds at 25 mm/s fits the place; a wider one keeps that scale, and is scrolled. */
  const FIT_MM = 270;
  let zoom = 1, on = false, points = [], cursor = null, sheet = null, drawn = "", said = "";

  const sheets = () => [...document.querySelectorAll("#paper .ea-svg")];
  const out = (text) => { said = text; show(); };

  /* How the tools and papers look, set where it differs: the server writes them anew without it. */
  function show() {
    document.querySelectorAll("[data-calipers]").forEach((button) => button.setAttribute("aria-pressed", String(on)));
    document.querySelectorAll("#paper .ea-scroll").forEach((box) => box.classList.toggle("ea-measuring", on));
    document.querySelectorAll(".ea-caliper-out").forEach((field) => { if (field.textContent !== said) field.textContent = said; });
  }

  /* The width of a sheet on the screen; its style knows the size of a pixel on the paper, for names that stay readable. */
  function applyZoom() {
    sheets().forEach((svg) => {
      const wide = svg.viewBox.baseVal.width, width = Math.round(100 * zoom * Math.max(1, wide / FIT_MM)) + "%";
      if (svg.style.width !== width) svg.style.width = width;
      const shown = svg.getBoundingClientRect().width, pixel = shown ? (wide / shown).toFixed(3) : "0";
      if (svg.style.getPropertyValue("--ea-pixel") !== pixel) svg.style.setProperty("--ea-pixel", pixel);
    });
  }
  function setZoom(what) {
    const at = ZOOMS.indexOf(zoom);
    zoom = what === "fit" ? 1 : ZOOMS[Math.max(0, Math.min(ZOOMS.length - 1, at + (what === "in" ? 1 : -1)))];
    applyZoom();
  }

  /* Nothing is measured yet, on this sheet or on none. */
  function begin(svg) {
    sheet = svg;
    drawn = svg ? svg.dataset.drawn : "";
    points = [];
    cursor = null;
    draw();
    out(on ? window.eaTexts.first : "");
  }

  function setCalipers(wanted) {
    on = wanted;
    begin(null);
  }

  /* The point that the keyboard moves, at first in the middle of what is seen of the paper. True where it was there already. */
  function pointed(box) {
    const svg = box.querySelector(".ea-svg");
    if (svg === sheet && cursor) return true;
    begin(svg);
    const seen = box.getBoundingClientRect();
    cursor = place(svg, { clientX: seen.left + seen.width / 2, clientY: seen.top + seen.height / 2 });
    draw();
    return false;
  }

  function place(svg, event) {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    return { x: point.x, y: point.y };
  }

  function node(name, attributes) {
    const made = document.createElementNS(NS, name);
    Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
    return made;
  }

  function draw() {
    document.querySelectorAll(".ea-calipers").forEach((one) => one.remove());
    if (!on || !sheet) return;
    const layer = node("g", { class: "ea-calipers", "stroke-width": 0.3, fill: "none" });
    const high = sheet.viewBox.baseVal.height, shown = cursor && points.length < 2 ? [...points, cursor] : points;
    shown.forEach((p, i) => {
      layer.append(node("line", { x1: p.x, x2: p.x, y1: 0, y2: high, class: "ea-up" }));
      layer.append(node("line", { x1: p.x - 4, x2: p.x + 4, y1: p.y, y2: p.y, class: "ea-across" }));
      if (i === 1) layer.append(node("rect", {
        x: Math.min(p.x, shown[0].x), y: Math.min(p.y, shown[0].y), width: Math.abs(p.x - shown[0].x),
        height: Math.abs(p.y - shown[0].y), class: "ea-between",
      }));
    });
    sheet.append(layer);
  }

  function told(one, other) {
    const ms = Math.abs(other.x - one.x) / Number(sheet.dataset.mmPerS) * 1000;
    const mv = (one.y - other.y) / Number(sheet.dataset.mmPerMv);
    const rate = ms >= 100 ? ", " + window.eaTexts.rate + " " + Math.round(60000 / ms) + "/min" : "";
    return Math.round(ms) + " ms, " + (mv < 0 ? "−" : "") + Math.abs(mv).toFixed(2) + " mV" + rate;
  }

  function set(point) {
    points = points.length >= 2 ? [point] : [...points, point];
    cursor = { ...point };
    draw();
    out(points.length === 2 ? told(points[0], points[1]) : window.eaTexts.second);
  }

  document.addEventListener("click", (event) => {
    const at = (selector) => event.target.closest && event.target.closest(selector);
    const button = at("[data-zoom]");
    if (button) { setZoom(button.dataset.zoom); return; }
    if (at("[data-calipers]")) { setCalipers(!on); return; }
    const svg = at("#paper .ea-svg");
    if (on && svg) {
      if (svg !== sheet) begin(svg);
      set(place(svg, event));
    }
  });
  document.addEventListener("pointermove", (event) => {
    const svg = on && points.length === 1 && event.target.closest && event.target.closest("#paper .ea-svg");
    if (!svg || svg !== sheet) return;
    cursor = place(svg, event);
    draw();
    out(told(points[0], cursor));
  });
  document.addEventListener("wheel", (event) => {
    if (!event.ctrlKey || !event.target.closest || !event.target.closest("#paper .ea-scroll")) return;
    event.preventDefault();
    setZoom(event.deltaY < 0 ? "in" : "out");
  }, { passive: false });

  const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  document.addEventListener("keydown", (event) => {
    const box = event.target.closest && event.target.closest("#paper .ea-scroll");
    if (!box || !box.querySelector(".ea-svg") || event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key;
    if (key === "+" || key === "=") setZoom("in");
    else if (key === "-") setZoom("out");
    else if (key === "0") setZoom("fit");
    else if (key === "c" || key === "C") {
      setCalipers(!on);
      if (on) pointed(box);
    } else if (on && key === "Escape") setCalipers(false);
    else if (on && MOVES[key]) {
      pointed(box);
      const step = event.shiftKey ? LONG_MM : STEP_MM;
      cursor = { x: cursor.x + MOVES[key][0] * step, y: cursor.y + MOVES[key][1] * step };
      if (points.length === 2) points = [];
      draw();
      out(points.length ? told(points[0], cursor) : window.eaTexts.first);
    } else if (on && (key === "Enter" || key === " ")) {
      if (pointed(box)) set({ ...cursor });
    } else return;
    event.preventDefault();
  });
  // Whoever comes to the paper by keyboard sees the point; for the mouse, and while something is measured, nothing changes.
  document.addEventListener("focusin", (event) => {
    if (on && !points.length && event.target.matches("#paper .ea-scroll:focus-visible")) pointed(event.target);
  });
  window.addEventListener("resize", applyZoom);

  // A sheet that is drawn anew keeps the zoom; measured points belong to the drawing that is gone. Gradio changes the sheet in
  // place, now and then by its attributes alone, so the drawing's own mark tells.
  new MutationObserver(() => {
    applyZoom();
    const here = sheet && sheet.isConnected, same = here && sheet.dataset.drawn === drawn && sheet.querySelector(".ea-calipers");
    if (on && sheet && !same) begin(null);
    show();
  }).observe(document, { childList: true, subtree: true, attributes: true, attributeFilter: ["data-drawn"] });
})();
