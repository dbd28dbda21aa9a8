/* What the page's own parts do when they are used. Everything that counts is decided on the server; here it is only sent there.
   The patient's label lives in its field and in the file that is handed over, and nowhere else. */
(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);

  /* One event at a time, in order: sent together, Gradio now and then drops one, or shows what an earlier one made last. The
     server answers each by its number; what is not answered is sent again, and done once all the same. */
  const AGAIN_MS = 3000, TRIES = 4;
  const waiting = [];
  let count = 0, open = null;
  const post = () => {
    window.eaSend(...open.event);
    open.tries += 1;
    open.timer = setTimeout(() => (open.tries < TRIES ? post() : window.eaDone(open.event[1].n)), AGAIN_MS * open.tries);
  };
  const next = () => {
    if (open || !waiting.length || !window.eaSend) return;
    open = { event: waiting.shift(), tries: 0 };
    post();
  };
  const send = (name, data) => { waiting.push([name, { ...data, n: (count += 1) }]); next(); };
  window.eaDone = (n) => {
    if (!open || open.event[1].n !== n) return;
    clearTimeout(open.timer);
    open = null;
    next();
  };
  let focused = "";

  // Sentences -----------------------------------------------------------------------------------------------------------
  function openEditor(row, key) {
    if (row.querySelector(".ea-editor")) return;
    const words = row.querySelector(".ea-words");
    const box = document.createElement("div");
    box.className = "ea-editor";
    const area = document.createElement("textarea");
    area.value = words.textContent;
    area.rows = 2;
    area.maxLength = 1000;
    area.setAttribute("aria-label", window.eaTexts.own);
    const save = document.createElement("button");
    save.type = "button";
    save.className = "ea-small";
    save.textContent = window.eaTexts.save;
    const leave = save.cloneNode();
    leave.textContent = window.eaTexts.cancel;
    const close = () => { box.remove(); const back = byId("s-" + key + "-change"); if (back) back.focus(); };
    save.addEventListener("click", () => { focused = "s-" + key + "-change"; send("edit", { do: "change", key, text: area.value }); });
    leave.addEventListener("click", close);
    area.addEventListener("keydown", (event) => {
      if (event.key === "Escape") { event.stopPropagation(); close(); }
      if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); save.click(); }
    });
    box.append(area, save, leave);
    row.append(box);
    area.focus();
  }

  function edit(button) {
    const what = button.dataset.edit, key = button.dataset.key;
    if (what === "change") { openEditor(button.closest(".ea-s"), key); return; }
    focused = button.id;
    if (what === "add") {
      focused = "add-text";
      send("edit", { do: "add", text: byId("add-text").value, section: byId("add-section").value });
    } else {
      send("edit", { do: what, key });
    }
  }

  // Sign-off and export -------------------------------------------------------------------------------------------------
  function hand(button) {
    const value = (id) => { const field = byId(id); return field ? field.value : ""; };
    send("hand", { kind: button.dataset.hand, name: value("signer"), label: value("label") });
  }

  /* Files wait on the server until they are fetched, once; the server names all that wait, so that none is missed. */
  const fetched = new Set();
  window.eaFetch = (tokens) => {
    for (const token of tokens || []) {
      if (fetched.has(token)) continue;
      fetched.add(token);
      const link = document.createElement("a");
      link.href = "parcels/" + token;
      link.download = "";
      document.body.append(link);
      link.click();
      link.remove();
    }
  };

  /* A label belongs to one recording: it never stays in its field for another one, who may be of another patient. */
  let labelled = null;

  /* Once the report is signed, what was typed for it stands: the name is on record, and the label belongs to this report. */
  function closeSigning() {
    const draft = document.querySelector("#draft .ea-document"), pane = document.querySelector(".ea-sign");
    if (!draft || !pane) return;
    const signed = draft.dataset.signed === "true", recording = pane.dataset.recording;
    if (labelled !== null && labelled !== recording && byId("label")) byId("label").value = "";
    labelled = recording;
    for (const id of ["signer", "label"]) {
      const field = byId(id);
      if (field && field.readOnly !== signed && (signed ? field.value || id === "signer" : true)) field.readOnly = signed;
    }
    const button = byId("sign"), note = byId("signed-note");
    if (button && button.disabled !== signed) button.disabled = signed;
    const state = document.querySelector("#draft .ea-draft b").textContent, badge = document.querySelector(".ea-badge");
    if (badge && badge.textContent !== state) { badge.textContent = state; badge.dataset.signed = String(signed); }
    const said = signed ? state : "";
    if (note && note.textContent !== said) note.textContent = said;
  }

  // The paper's tools ---------------------------------------------------------------------------------------------------
  function sendView() {
    const chosen = (name) => { const field = document.querySelector("[data-view=" + name + "]"); return field ? field.value : undefined; };
    const boxes = [...document.querySelectorAll("[data-lead-box]")];
    const leads = boxes.filter((box) => box.checked).map((box) => box.value);
    const view = { layout: chosen("layout"), speed: chosen("speed"), gain: chosen("gain"), start: chosen("start") || 0 };
    view.leads = leads.length === boxes.length ? [] : leads;
    send("look", { view });
  }

  function look(button) {
    document.querySelectorAll("[data-chosen]").forEach((one) => one.removeAttribute("data-chosen"));
    if (button.matches(".ea-finding, .ea-words")) button.dataset.chosen = "1";
    send("look", { id: button.dataset.look || "", sentence: button.dataset.sentence || "" });
  }

  document.addEventListener("click", (event) => {
    const at = (selector) => event.target.closest && event.target.closest(selector);
    let button;
    if ((button = at("[data-edit]"))) edit(button);
    else if ((button = at("[data-hand]"))) hand(button);
    else if ((button = at("[data-case]"))) send("look", { case: button.dataset.case });
    else if ((button = at("[data-look], [data-sentence]"))) look(button);
    else if ((button = at("[data-leads=all]"))) {
      document.querySelectorAll("[data-lead-box]").forEach((box) => { box.checked = true; });
      sendView();
    } else if (!at(".ea-leads")) {
      document.querySelectorAll(".ea-leads[open]").forEach((one) => one.removeAttribute("open"));
    }
  });
  document.addEventListener("change", (event) => {
    const field = event.target;
    if (!field.matches || !field.matches("[data-view], [data-lead-box]")) return;
    // The last lead stays: a paper without any would say nothing.
    if (field.matches("[data-lead-box]") && !document.querySelector("[data-lead-box]:checked")) { field.checked = true; return; }
    sendView();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.id === "add-text") byId("add-go").click();
    if (event.key === "Escape") document.querySelectorAll(".ea-leads[open]").forEach((one) => one.removeAttribute("open"));
  });

  // Parts are written anew by the server: what had the focus keeps it, and what is closed stays closed.
  new MutationObserver(() => {
    closeSigning();
    if (focused && document.activeElement === document.body) {
      const back = byId(focused) || byId(focused.replace(/-(accept|change|reject)$/, "-words"));
      if (back) { back.focus({ preventScroll: true }); focused = ""; }
    }
  }).observe(document, { childList: true, subtree: true });
})();
