// The explorer's page. It draws what `Explorer` tells and asks for what is clicked; the setting that counts
// is Python's. As a widget it is loaded by anywidget, as a page of its own by index.html.

const PART = 1 << 20; // bytes of an upload in one message
let pages = 0;

const slider = (id, name, label, low, high, step, hint) => `
  <div class="line"><label for="${id}-${name}">${label}</label>
  <input type="range" id="${id}-${name}" name="${name}" min="${low}" max="${high}" step="${step}"
    aria-describedby="${id}-${name}-hint"><output for="${id}-${name}" data-of="${name}"></output></div>
  <small id="${id}-${name}-hint">${hint}</small>`;
const box = (name, label) => `<label class="box"><input type="checkbox" name="${name}"> ${label}</label>`;
const figure = (name, images) => `
  <figure data-part="${name}"><div class="stack">${images.map((one) => `<img data-part="${one}" alt="" hidden>`).join("")}</div>
  <figcaption data-part="${name}-words"></figcaption><div class="bar" data-part="${name}-bar" hidden></div></figure>`;

const html = (id) => `
<form class="controls" aria-label="Controls">
  <fieldset><legend>Photo</legend>
    <label>sample or file <select name="photo"></select></label>
    <label>your photo <input type="file" name="upload" accept="image/*"></label>
  </fieldset>
  <fieldset><legend>Mask</legend>
    <label>found by <select name="perception"></select></label>
    ${slider(id, "area", "area", 0, 0.6, 0.01, "share of the aligned picture; the face fills about a third of it")}
    ${slider(id, "threshold", "threshold", -3, 0, 0.01, "the heat (0–1) from which a pixel is taken: lower takes more")}
    <small data-part="kept"></small>
    ${slider(id, "back", "give back", 0, 0.9, 0.05, "share of the mask that the new face leaves to the photo, where it hides least")}
    ${slider(id, "softness", "softness", 0, 20, 0.5, "of the mask's edge, in 256ths of the picture")}
    ${box("symmetric", "symmetric")}
    <details><summary>facial regions</summary><div class="grid" data-part="regions"></div></details>
  </fieldset>
  <fieldset><legend>New face</legend>
    ${slider(id, "strength", "strength", 0, 1, 0.05, "from the person (0) to the new identity (1)")}
    ${box("aim", "reach a distance instead")}
    ${slider(id, "target", "distance", 0.3, 1.2, 0.01, "the recogniser's; the preview then takes a few seconds")}
    ${slider(id, "seed", "seed", 0, 99, 1, "which new identity")}
    <div class="grid" role="group" aria-label="kept of the person" data-part="keep"><span>kept:</span></div>
    <label>key <input type="text" name="key" autocomplete="off" spellcheck="false"></label>
    ${box("with_key", "the key in saved settings")}
  </fieldset>
</form>
<div class="shown">
  <div class="actions">
    <button data-do="make" class="first">full quality</button><label class="box" data-part="everybody" hidden><input type="checkbox" name="everybody" checked> everybody in the photo</label>
    <button data-do="seeds">six seeds</button>
    <button data-save="settings">save settings</button><button data-save="key">save key</button>
    <button data-save="picture" hidden>save picture</button>
    <span data-part="working" hidden><progress max="1" aria-label="progress"></progress> <button data-do="cancel">cancel</button></span>
  </div>
  <div data-part="says" role="status" aria-live="polite"><p data-part="verdict"></p><p data-part="note"></p></div>
  <div class="pictures" data-part="pictures">
    ${figure("mask", ["heat", "edge"])}${figure("stays", ["person", "grey"])}${figure("new", ["preview", "before"])}
  </div>
  <div class="people" data-part="people" role="group" aria-label="Faces in the photo, numbered from the largest" hidden></div>
  <div class="seeds" data-part="seeds" role="group" aria-label="Six seeds: click one to choose it" hidden></div>
  <figure data-part="result" hidden><img data-part="result-image" alt="the finished photo"><figcaption data-part="result-words"></figcaption></figure>
</div>`;

/** Draw the page into `root`; `send` takes messages for `Explorer`. Returns what takes its answers. */
export function panel(root, send) {
  root.classList.add("anonlab");
  root.addEventListener("keydown", (event) => event.stopPropagation()); // JupyterLab takes sliders' arrow keys
  root.innerHTML = html(`anonlab-${++pages}`);
  const part = Object.fromEntries([...root.querySelectorAll("[data-part]")].map((one) => [one.dataset.part, one]));
  const input = Object.fromEntries([...root.querySelectorAll("[name]")].map((one) => [one.name, one]));
  const button = Object.fromEntries([...root.querySelectorAll("button")].map((one) => [one.dataset.do ?? one.dataset.save, one]));
  const say = (name, text, kind = "") => Object.assign(part[name], { textContent: text, className: kind });
  const image = (name, uri, alt = "") => Object.assign(part[name], { src: uri, alt, hidden: !uri });
  let state = {}, face = {}, files = {}, by = "area", waiting = [], busy = false, own = false;

  // One message at a time: of a slider's positions the newest one follows as soon as the last was drawn.
  function ask(message) {
    const last = waiting.at(-1);
    if (last?.do == "set" && message.do == "set") message.final ||= last.final, waiting.pop();
    waiting.push(message);
    next();
  }
  function next() {
    if (busy || !waiting.length) return;
    busy = true;
    send(waiting.shift());
  }
  function set(final = true) {
    const { mask_area, mask_threshold, ...others } = state;
    const mask = by == "area" ? { mask_area, mask_threshold: null } : { mask_threshold };
    ask({ do: "set", controls: { ...others, ...mask }, final, with_key: input.with_key.checked });
    part["new"].classList.add("old");
    say("note", "");
  }
  function outdate(keepSeeds = false) {
    part.result.hidden = button.picture.hidden = true;
    delete files.picture;
    if (!keepSeeds) part.seeds.hidden = true;
  }

  const numbers = { area: "mask_area", threshold: "mask_threshold", back: "give_back", softness: "softness", strength: "strength", target: "target_distance", seed: "seed" };
  const value = { threshold: (x) => 10 ** x, seed: (x) => x };
  const percent = (x) => `${Math.round(100 * x)}%`;
  const words = { area: percent, back: percent, threshold: (x) => x.toFixed(3), seed: (x) => `${x}` };
  function place(name, number) {
    if (number == null) return;
    input[name].value = name == "threshold" ? Math.log10(Math.max(number, 1e-3)) : number;
    const text = (words[name] ?? ((x) => x.toFixed(2)))(number);
    root.querySelector(`[data-of=${name}]`).textContent = text;
    input[name].setAttribute("aria-valuetext", text);
  }
  for (const name of Object.keys(numbers)) {
    const moved = (final) => {
      const number = (value[name] ?? ((x) => x))(Number(input[name].value));
      if (name == "area" || name == "threshold") by = name;
      state[numbers[name]] = number;
      place(name, number);
      outdate(name == "seed");
      set(final);
    };
    input[name].addEventListener("input", () => moved(false));
    input[name].addEventListener("change", () => moved(true));
  }
  input.symmetric.onchange = () => (state.symmetric = input.symmetric.checked, outdate(), set());
  input.perception.onchange = () => (state.perception = input.perception.value, outdate(), set());
  input.with_key.onchange = () => set(false);
  input.aim.onchange = () => {
    state.target_distance = input.aim.checked ? Number(input.target.value) : null;
    aimed();
    outdate();
    set();
  };
  const aimed = () => (input.strength.disabled = input.aim.checked, input.target.disabled = !input.aim.checked);
  input.photo.onchange = () => ask({ do: "open", photo: input.photo.value });
  input.key.onchange = () => (outdate(), ask({ do: "key", key: input.key.value }));
  input.upload.onchange = async () => {
    const [file] = input.upload.files;
    for (let at = 0; file && (at == 0 || at < file.size); at += PART) {
      const bytes = new Uint8Array(await file.slice(at, at + PART).arrayBuffer());
      let text = "";
      for (let one = 0; one < bytes.length; one += 8192) text += String.fromCharCode(...bytes.subarray(one, one + 8192));
      const last = at + PART >= file.size;
      ask({ do: "upload", name: file.name, size: file.size, data: btoa(text), first: at == 0, last });
      say("verdict", last ? "opening the photo …" : `sending ${file.name}: ${Math.round((100 * at) / file.size)}%`);
      while (waiting.length > 4) await new Promise((done) => setTimeout(done, 20));
    }
  };
  input.upload.onclick = () => (input.upload.value = ""); // the same file can be sent again
  root.querySelector("form").onsubmit = (event) => event.preventDefault();

  button.make.onclick = () => (outdate(), ask({ do: "make", everybody: input.everybody.checked }));
  button.seeds.onclick = () => (outdate(), part.seeds.replaceChildren(), (part.seeds.hidden = false), ask({ do: "seeds" }));
  button.cancel.onclick = () => ask({ do: "cancel" });
  input.everybody.onchange = () => outdate();
  const names = { settings: () => "settings.json", key: () => "anonlab.key", picture: () => files.name };
  for (const [what, name] of Object.entries(names)) {
    button[what].onclick = () => {
      const content = what == "picture" ? Uint8Array.from(atob(files.picture), (c) => c.charCodeAt(0)) : what == "key" ? input.key.value : files.settings;
      const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(new Blob([content])), download: name() });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
      if (what == "key" || (what == "settings" && input.with_key.checked)) delete root.dataset.unsaved;
    };
  }
  const compare = document.createElement("button");
  Object.assign(compare, { textContent: "show the person", type: "button" });
  compare.setAttribute("aria-pressed", "false");
  compare.onclick = () => {
    const person = compare.getAttribute("aria-pressed") == "false";
    compare.setAttribute("aria-pressed", person);
    part.before.hidden = !person;
  };
  part["new"].append(compare);

  function options(select, pairs) {
    select.replaceChildren(...pairs.map(([one, label]) => new Option(label, one)));
  }
  function tick(box, names, list, values, changed) {
    for (const name of names) {
      const label = document.createElement("label");
      const one = document.createElement(values ? "select" : "input");
      if (values) options(one, values), (one.value = list(name));
      else Object.assign(one, { type: "checkbox", checked: list(name) });
      label.append(one, ` ${name}`);
      one.onchange = () => (changed(name, values ? one.value : one.checked), outdate(), set());
      box.append(label);
    }
  }
  function bar(name, { distance, limit, matched }, verdict) {
    part[`${name}-bar`].hidden = false;
    part[`${name}-bar`].className = matched ? "bar matched" : "bar";
    part[`${name}-bar`].style = `--value: ${Math.min(distance / 1.2, 1)}; --limit: ${limit / 1.2}`;
    say(`${name}-words`, verdict);
  }

  const shows = {
    hello({ photos, perceptions, regions, keep, controls }) {
      state = { ...controls };
      by = controls.mask_threshold == null ? "area" : "threshold";
      waiting = [];
      options(input.photo, photos);
      options(input.perception, perceptions.map((one) => [one, one.replaceAll("_", " ")]));
      input.perception.value = controls.perception;
      input.symmetric.checked = controls.symmetric;
      input.aim.checked = controls.target_distance != null;
      aimed();
      for (const [name, field] of Object.entries(numbers)) place(name, controls[field] ?? (name == "target" ? 0.7 : null));
      part.regions.replaceChildren();
      const of = (name) => (state.exclude.includes(name) ? "exclude" : state.include.includes(name) ? "include" : "");
      tick(part.regions, regions, of, [["", "by the heat"], ["include", "always change"], ["exclude", "never change"]], (name, chosen) => {
        for (const list of ["include", "exclude"]) state[list] = [...state[list].filter((one) => one != name), ...(chosen == list ? [name] : [])];
      });
      part.keep.replaceChildren(part.keep.firstChild);
      tick(part.keep, keep, (name) => state.keep.includes(name), null, (name, on) => {
        state.keep = [...state.keep.filter((one) => one != name), ...(on ? [name] : [])];
      });
    },
    nothing() {
      outdate();
      part.people.hidden = part.pictures.hidden = true;
      delete root.dataset.unsaved;
      button.make.disabled = button.seeds.disabled = true;
      say("verdict", "opening the photo …");
      say("note", "");
    },
    face(told) {
      face = told;
      own = told.own;
      if (![...input.photo.options].some((one) => one.value == told.photo)) input.photo.add(new Option(told.photo, told.photo));
      input.photo.value = told.photo;
      if (input.upload.files[0]?.name != told.photo) input.upload.value = "";
      input.key.value = told.key;
      part.pictures.hidden = false;
      button.make.disabled = button.seeds.disabled = false;
      outdate();
      for (const name of ["preview", "before"]) image(name, "");
      image("person", told.person);
      part.before.src = told.person;
      compare.setAttribute("aria-pressed", "false");
      part.everybody.hidden = part.people.hidden = !told.boxes.length;
      const whole = Object.assign(new Image(), { src: told.whole, alt: "the whole photo" });
      const frames = told.boxes.map(([left, top, width, height], index) => {
        const frame = Object.assign(document.createElement("button"), { type: "button", textContent: index + 1, title: `look at face ${index + 1}` });
        frame.style = `left: ${left}%; top: ${top}%; width: ${width}%; height: ${height}%`;
        frame.setAttribute("aria-label", `face ${index + 1}`);
        frame.setAttribute("aria-pressed", index + 1 == told.number);
        frame.onclick = () => ask({ do: "choose", number: index + 1 });
        return frame;
      });
      part.people.replaceChildren(whole, ...frames);
    },
    mask(told) {
      if (!waiting.some((one) => one.do == "set")) {  // else the slider has moved on
        state.mask_area = told.area;
        state.mask_threshold = told.threshold;
        by = told.by;
        place("area", told.area);
        place("threshold", told.threshold);
      } else if (by == "area") place("threshold", told.threshold);
      else place("area", told.area);
      const other = told.by == "area" ? "threshold" : "area";
      say("kept", `The ${told.by} is what the next photo and saved settings get; the ${other} follows it, face by face.`);
      if (told.heat) image("heat", told.heat, "the face under a map of where the recogniser finds the identity");
      image("edge", told.edge, `outline of a mask of ${told.shares}`);
      part.person.alt = "the person's face";
      image("grey", told.grey, told.stays);
      files.settings = told.settings;
      say("mask-words", `mask: ${told.shares}`);
      bar("stays", told, `${told.stays}. ${told.verdict}`);
      say("verdict", told.warning || told.verdict, told.warning ? "warning" : told.matched ? "matched" : "free");
      say("new-words", "drawing the new face …");
      part["new"].classList.add("old");
    },
    preview(told) {
      image("preview", told.picture, told.verdict);
      part["new"].classList.remove("old");
      bar("new", told, `new: ${told.shares}. ${told.verdict}` + (face && state.target_distance != null ? `; strength ${told.strength.toFixed(2)}` : ""));
      if (part.verdict.className != "warning") say("verdict", told.verdict, told.matched ? "matched" : "free");
    },
    seed(told) {
      const one = document.createElement("button");
      one.type = "button";
      one.append(Object.assign(new Image(), { src: told.picture, alt: "" }), `seed ${told.seed}: distance ${told.distance.toFixed(2)}${told.matched ? ", recognised" : ""}`);
      one.onclick = () => {
        for (const other of part.seeds.children) other.setAttribute("aria-pressed", other == one);
        state.seed = told.seed;
        place("seed", told.seed);
        outdate(true);
        set();
      };
      one.setAttribute("aria-pressed", told.seed == state.seed);
      part.seeds.append(one);
    },
    busy(told) {
      part.working.hidden = false;
      part.working.querySelector("progress").value = told.share;
      say("note", told.text);
    },
    idle(told) {
      part.working.hidden = true;
      say("note", told.text ?? "");
    },
    result(told) {
      files.picture = told.file;
      files.name = told.name;
      part.result.hidden = button.picture.hidden = false;
      part["result-image"].src = told.picture;
      say("result-words", `${told.name}: ${told.verdict}`);
      say("verdict", told.verdict, "free");
      if (own) root.dataset.unsaved = "key";
    },
    error(told) {
      say("verdict", told.text, "error");
    },
    ready() {
      busy = false;
      next();
    },
  };
  return (message) => shows[message.show](message);
}

export default {
  render({ model, el }) {
    const root = el.appendChild(document.createElement("div"));
    const show = panel(root, (message) => model.send(message));
    model.on("msg:custom", show);
    model.send({ do: "hello" });
    return () => model.off("msg:custom", show);
  },
};
