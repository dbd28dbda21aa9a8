/* Zoom and calipers on the ECG paper. The scale is read off the sheet (data-mm-per-s, data-mm-per-mv); its viewBox is in mm, so a
   place on the screen becomes a place on the paper through the sheet's own matrix, whatever the zoom. */
(() => {
  "use strict";
  const NS = "http://www.w3.org/2000/svg";
  const STEP_MM = 0.5, LONG_MM = 5, ZOOMS = [1, 1.25, 1.5, 2, 2.5, 3, 4, 6];
  let zoom = 1, on = false, points = [], cursor = null, sheet = null;

  const sheets = () => [...document.querySelectorAll("#paper .ea-svg")];
  const out = (text) => { const field = document.querySelector(".ea-caliper-out"); if (field) field.textContent = text; };

  function applyZoom() {
    sheets().forEach((svg) => { const wide = Math.round(100 * zoom) + "%"; if (svg.style.width !== wide) svg.style.width = wide; });
  }
  function setZoom(what) {
    const at = ZOOMS.indexOf(zoom);
    zoom = what === "fit" ? 1 : ZOOMS[Math.max(0, Math.min(ZOOMS.length - 1, at + (what === "in" ? 1 : -1)))];
    applyZoom();
  }

  function setCalipers(wanted) {
    on = wanted;
    points = [];
    cursor = null;
    document.querySelectorAll("[data-calipers]").forEach((button) => button.setAttribute("aria-pressed", String(on)));
    document.querySelectorAll("#paper .ea-scroll").forEach((box) => box.classList.toggle("ea-measuring", on));
    draw();
    out(on ? window.eaTexts.first : "");
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
    cursor = points.length === 1 ? { ...point } : null;
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
      if (svg !== sheet) { sheet = svg; points = []; }
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
    if (!box || event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key;
    if (key === "+" || key === "=") setZoom("in");
    else if (key === "-") setZoom("out");
    else if (key === "0") setZoom("fit");
    else if (key === "c" || key === "C") {
      setCalipers(!on);
      sheet = box.querySelector(".ea-svg");
      if (on && sheet) { cursor = { x: sheet.viewBox.baseVal.width / 4, y: sheet.viewBox.baseVal.height / 4 }; draw(); }
    } else if (on && key === "Escape") setCalipers(false);
    else if (on && cursor && MOVES[key]) {
      const step = event.shiftKey ? LONG_MM : STEP_MM;
      cursor = { x: cursor.x + MOVES[key][0] * step, y: cursor.y + MOVES[key][1] * step };
      draw();
      if (points.length === 1) out(told(points[0], cursor));
    } else if (on && cursor && (key === "Enter" || key === " ")) set({ ...cursor });
    else return;
    event.preventDefault();
  });

  // A sheet that is drawn anew keeps the zoom; measured points belong to the sheet that is gone.
  new MutationObserver(() => {
    applyZoom();
    if (sheet && !sheet.isConnected) {
      sheet = null;
      points = [];
      cursor = null;
      document.querySelectorAll("#paper .ea-scroll").forEach((box) => box.classList.toggle("ea-measuring", on));
      out(on ? window.eaTexts.first : "");
    }
  }).observe(document, { childList: true, subtree: true });
})();
