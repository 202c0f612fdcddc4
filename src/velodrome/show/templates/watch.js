// Replays games that were packed by velodrome.show.film: shapes on a canvas, bars beside it.

const find = id => document.getElementById(id);
const canvas = find("board"), pen = canvas.getContext("2d");
const still = matchMedia("(prefers-reduced-motion: reduce)"), narrow = matchMedia("(max-width: 48rem)");
const EVERYONE = -1, SPEEDS = [0.25, 0.5, 1, 2, 4, 8, 16];
const GLIDES = new Set(["x", "y", "to_x", "to_y", "radius", "width", "height", "size", "round", "share", "strength", "half"]);
const MINDS = {
  looks: "attention", sees: "sight of who is shown", believes: "beliefs of who is shown", tells: "messages", wants: "wishes",
};
const ALONE = new Set(["sees", "believes"]);  // of everyone at once, they would hide all else
const MOST_BARS = 14, LETTER = 40;
let films = [], film, at = 0, playing = false, speed = 1, who = EVERYONE, before = 0, shown = "";
const hidden = new Set();

// -- unpacking -------------------------------------------------------------------------------------------------------

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text.trim()), letter => letter.charCodeAt(0));
  const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return (await new Response(plain).json()).map(unfold);
}

function unfold(coded) {
  for (const shape of coded.shapes) {
    shape.layer = coded.layers[shape.layer];
    shape.place = places(shape.there, coded.frames);
    const scaled = (name, value) => typeof value === "number" ? value * (coded.scales[name] ?? 1) : value;
    for (const name in shape.fixed) shape.fixed[name] = scaled(name, shape.fixed[name]);
    for (const name in shape.moves) shape.moves[name] = column(shape.moves[name]).map(value => scaled(name, value));
    if (shape.tiles) shape.grid = { number: 0, values: Uint8Array.from(shape.tiles[0]) };
  }
  return coded;
}

function places(there, frames) {
  const found = new Int32Array(frames).fill(there ? -1 : 0);
  if (!there) return found.map((_, frame) => frame);
  for (let run = 0, next = 0; run < there.length; run += 2)
    for (let i = 0; i < there[run + 1]; i++) found[there[run] + i] = next++;
  return found;
}

function column(coded) {
  if (Array.isArray(coded[0])) return coded.flatMap(([value, times]) => Array(times).fill(value));
  let sum = 0;
  return coded.map(more => sum += more);
}

function gridOf(shape, number) {
  const grid = shape.grid;
  if (number < grid.number) { grid.number = 0; grid.values = Uint8Array.from(shape.tiles[0]); }
  while (grid.number < number) {
    const changes = shape.tiles[++grid.number];
    for (let i = 0, place = 0; i < changes.length; i += 2) grid.values[place += changes[i]] = changes[i + 1];
  }
  return grid.values;
}

// A shape as it is between two positions; null where it is not there.
function shapeAt(shape, frame, part) {
  const number = shape.place[frame];
  if (number < 0) return null;
  const found = { ...shape.fixed, name: shape.name, kind: shape.kind, layer: shape.layer };
  const next = part > 0 && frame + 1 < shape.place.length ? shape.place[frame + 1] : -1;
  for (const name in shape.moves) {
    const values = shape.moves[name], here = values[number];
    found[name] = here;
    if (next < 0) continue;
    if (GLIDES.has(name)) found[name] = here + part * (values[next] - here);
    if (name === "angle") found[name] = here + part * (((values[next] - here) % 360 + 540) % 360 - 180);
  }
  if (shape.grid) Object.assign(found, { values: gridOf(shape, number), number, shape });
  return found;
}

// -- colours ---------------------------------------------------------------------------------------------------------

const probe = document.createElement("i"), colours = new Map();
let theme = 0;  // how often it has changed
probe.hidden = true;
document.body.append(probe);

function colour(name) {
  if (name.startsWith("#")) return name;
  if (!colours.has(name)) {
    probe.style.color = `var(--${name})`;
    colours.set(name, getComputedStyle(probe).color);
  }
  return colours.get(name);
}

// -- shapes: each drawn with the pen, in the coordinates of the board -------------------------------------------------

let fine = 1;  // a pixel of the page, as a length of the board

const DRAW = {
  disc(it) {
    pen.beginPath();
    pen.arc(it.x, it.y, it.radius, 0, 2 * Math.PI);
    if (it.hollow) outline(it.colour, 1.8, it.hollow === 2); else { pen.fillStyle = colour(it.colour); pen.fill(); }
    if (it.text && it.radius > 5 * fine) write(it.text, it.x, it.y, it.radius * (it.text.length > 1 ? .95 : 1.15), "on-own", true);
  },
  line(it) {
    const dx = it.to_x - it.x, dy = it.to_y - it.y;
    const bend = [(it.x + it.to_x) / 2 + it.bow * dy, (it.y + it.to_y) / 2 - it.bow * dx];
    const width = Math.max(it.width, fine), head = 2.6 * width + 3 * fine, length = Math.hypot(dx, dy);
    const stop = it.arrow && !it.bow && length > head ? 1 - head / length : 1;
    pen.strokeStyle = pen.fillStyle = colour(it.colour);
    pen.lineWidth = width;
    pen.lineCap = it.arrow ? "butt" : "round";
    pen.beginPath();
    pen.moveTo(it.x, it.y);
    if (it.bow) pen.quadraticCurveTo(...bend, it.to_x, it.to_y); else pen.lineTo(it.x + stop * dx, it.y + stop * dy);
    pen.stroke();
    if (it.arrow) arrow(it.bow ? on(it, bend, .62) : [it.to_x, it.to_y], Math.atan2(dy, dx), head);
  },
  box(it) {
    turned(it.x, it.y, it.angle, () => {
      pen.beginPath();
      pen.roundRect(-it.width / 2, -it.height / 2, it.width, it.height, it.round);
      if (it.hollow) outline(it.colour, 1.5, false); else { pen.fillStyle = colour(it.colour); pen.fill(); }
    });
  },
  wedge(it) {
    const from = (it.angle - it.half) * Math.PI / 180, to = (it.angle + it.half) * Math.PI / 180;
    pen.beginPath();
    pen.moveTo(it.x, it.y);
    pen.arc(it.x, it.y, it.radius, from, to);
    pen.closePath();
    pen.fillStyle = colour(it.colour);
    pen.fill();
  },
  dart(it) {
    turned(it.x, it.y, it.angle, () => {
      const r = it.radius;
      pen.beginPath();
      pen.moveTo(1.15 * r, 0);
      pen.lineTo(-.8 * r, .75 * r);
      pen.lineTo(-.4 * r, 0);
      pen.lineTo(-.8 * r, -.75 * r);
      pen.closePath();
      pen.fillStyle = colour(it.colour);
      pen.fill();
    });
  },
  bar(it) {
    const left = it.x - it.width / 2, top = it.y - it.height / 2, share = Math.min(Math.max(it.share, 0), 1);
    pen.fillStyle = colour("hollow");
    pen.globalAlpha *= .45;
    pen.fillRect(left, top, it.width, it.height);
    pen.globalAlpha = it.strength;
    pen.fillStyle = colour(it.colour);
    pen.fillRect(left, top, it.width * share, it.height);
  },
  text(it) {
    write(it.text, it.x, it.y, it.size, it.colour, it.bold, it.colour === "label");
  },
  tiles(it) {
    pen.imageSmoothingEnabled = !it.palette.length;
    pen.drawImage(sheetOf(it), it.x, it.y, it.width, it.height);
  },
  card(it, moves) {
    const face = it.face && (who === EVERYONE || it.of === EVERYONE || it.of === who);
    const w = it.width, h = 1.4 * w;
    turned(it.x, it.y, it.angle, () => {
      pen.beginPath();
      pen.roundRect(-w / 2, -h / 2, w, h, .11 * w);
      pen.fillStyle = colour(face ? "paper" : "card-back");
      pen.fill();
      outline("card-edge", 1, false);
      if (face) printed(it, w, h);
      if (face && it.chance >= 0 && !moves) chance(it, w, h);
    });
  },
};

// The tiles as a small picture, a pixel each; made anew where the position or the theme is another.
function sheetOf(it) {
  const { shape, columns, values } = it;
  if (shape.sheet?.number === it.number && shape.sheet.theme === theme) return shape.sheet.picture;
  const picture = new OffscreenCanvas(columns, values.length / columns), brush = picture.getContext("2d");
  const light = it.palette.map(colour), dark = colour("ground");
  values.forEach((value, i) => {
    brush.globalAlpha = light.length ? 1 : .72 * value / 100;
    brush.fillStyle = light.length ? light[value] : dark;
    brush.fillRect(i % columns, Math.floor(i / columns), 1, 1);
  });
  shape.sheet = { number: it.number, theme, picture };
  return picture;
}

function turned(x, y, angle, draw) {
  pen.save();
  pen.translate(x, y);
  pen.rotate(angle * Math.PI / 180);
  draw();
  pen.restore();
}

function outline(name, pixels, broken) {
  pen.strokeStyle = colour(name);
  pen.lineWidth = pixels * fine;
  pen.setLineDash(broken ? [6 * fine, 5 * fine] : []);
  pen.stroke();
  pen.setLineDash([]);
}

function arrow([x, y], angle, size) {
  pen.beginPath();
  for (const [away, turn] of [[0, 0], [size, 2.68], [size, -2.68]])
    pen.lineTo(x + away * Math.cos(angle + turn), y + away * Math.sin(angle + turn));
  pen.fill();
}

function on(it, bend, part) {
  const rest = 1 - part;
  return [rest * rest * it.x + 2 * rest * part * bend[0] + part * part * it.to_x,
          rest * rest * it.y + 2 * rest * part * bend[1] + part * part * it.to_y];
}

function write(text, x, y, size, name, bold, ringed) {
  pen.save();
  pen.translate(x, y);
  pen.scale(size / LETTER, size / LETTER);
  pen.font = `${bold ? 680 : 480} ${LETTER}px Inter, system-ui, sans-serif`;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  if (ringed) {
    pen.lineJoin = "round";
    pen.lineWidth = .24 * LETTER;
    pen.strokeStyle = colour("halo");
    pen.strokeText(text, 0, .05 * LETTER);
  }
  pen.fillStyle = colour(name);
  pen.fillText(text, 0, .05 * LETTER);
  pen.restore();
}

const SUITS = {
  H: new Path2D("M0 .44C-.15 .26-.5 .06-.5-.2C-.5-.46-.15-.52 0-.24C.15-.52 .5-.46 .5-.2C.5 .06 .15 .26 0 .44Z"),
  D: new Path2D("M0-.5L.38 0L0 .5L-.38 0Z"),
  S: new Path2D("M0-.5C.15-.3 .5-.1 .5 .12C.5 .36 .18 .4 .05 .2C.06 .34 .12 .42 .2 .48L-.2 .48C-.12 .42-.06 .34-.05 .2C-.18 .4-.5 .36-.5 .12C-.5-.1-.15-.3 0-.5Z"),
  C: new Path2D("M-.2 .48C-.12 .42-.06 .34-.05 .16A.23 .23 0 1 1-.17-.1A.23 .23 0 1 1 .17-.1A.23 .23 0 1 1 .05 .16C.06 .34 .12 .42 .2 .48Z"),
};

function printed(it, w, h) {
  const ink = it.suit === "H" || it.suit === "D" ? "paper-red" : "paper-ink";
  for (const half of [0, 180]) turned(0, 0, half, () => {
    write(it.rank, -.31 * w, -.36 * h, .34 * w, ink, true);
    suit(it.suit, -.31 * w, -.17 * h, .23 * w, ink);
  });
  suit(it.suit, .04 * w, 0, .42 * w, ink);
}

function suit(name, x, y, size, ink) {
  pen.save();
  pen.translate(x, y);
  pen.scale(size, size);
  pen.fillStyle = colour(ink);
  pen.fill(SUITS[name]);
  pen.restore();
}

function chance(it, w, h) {
  const tall = 4.6 * it.chance, top = -h / 2 - .5;
  pen.fillStyle = colour("chance");
  pen.fillRect(-.3 * w, top - tall, .6 * w, Math.max(tall, .12));
  if (it.chance >= .045) write(`${Math.round(100 * it.chance)}`, 0, top - tall - 1.1, 1.7, "on-felt", it.chosen);
  if (!it.chosen) return;
  pen.beginPath();
  pen.roundRect(-w / 2, -h / 2, w, h, .11 * w);
  outline("chance", 3, false);
}

// -- the board -------------------------------------------------------------------------------------------------------

function fit() {
  const [left, top, right, bottom] = film.bounds, stage = canvas.closest(".stage");
  const room = stage.clientWidth - (narrow.matches ? 0 : 295);
  const tallest = Math.max(300, innerHeight - 385), shape = (right - left) / (bottom - top);
  const width = Math.min(room, tallest * shape), ratio = devicePixelRatio || 1;
  stage.style.setProperty("--wide", `${width}px`);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${width / shape}px`;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(width / shape * ratio);
  find("mind").style.maxHeight = `${Math.max(width / shape, 200)}px`;
  const unit = canvas.width / (right - left);
  fine = (right - left) / width;
  pen.setTransform(unit, 0, 0, unit, -left * unit, -top * unit);
  draw();
}

function isDrawn(it) {
  if (hidden.has(it.layer)) return false;
  if (!(it.layer in MINDS)) return true;
  return it.of === EVERYONE || it.of === who || (who === EVERYONE && !ALONE.has(it.layer));
}

function draw() {
  const frame = Math.floor(at), rest = at - frame;
  const moved = still.matches ? 0 : Math.max(0, (rest - 1 + film.glide) / film.glide);
  const part = film.glide < 1 ? moved * moved * (3 - 2 * moved) : moved;
  const [left, top, right, bottom] = film.bounds;
  pen.clearRect(left, top, right - left, bottom - top);
  for (const shape of film.shapes) {
    const it = shapeAt(shape, frame, part);
    if (!it || !isDrawn(it)) continue;
    pen.globalAlpha = it.strength;
    DRAW[it.kind](it, part > 0);
  }
  pen.globalAlpha = 1;
  tell(frame);
}

function tell(frame) {
  const key = `${films.indexOf(film)} ${frame} ${who}`;
  if (key === shown) return;
  shown = key;
  const end = frame === film.frames - 1 ? `; in the end, ${film.end}` : "";
  find("says").textContent = film.says[frame] + end;
  find("count").textContent = `${frame} of ${film.frames - 1}`;
  find("at").value = frame;
  find("at").setAttribute("aria-valuetext", film.says[frame]);
  canvas.setAttribute("aria-label", `The board: ${film.says[frame]}`);
  find("mind").replaceChildren(...groups(frame));
}

// -- bars ------------------------------------------------------------------------------------------------------------

function made(tag, kind, ...children) {
  const found = document.createElement(tag);
  found.className = kind;
  found.append(...children);
  return found;
}

function groups(frame) {
  const there = film.bars.filter(bars => bars.frames[frame] && (who === EVERYONE || bars.of === EVERYONE || bars.of === who));
  return there.length ? there.map(bars => group(bars, ...bars.frames[frame])) : [made("p", "none", "Nobody decides anything here.")];
}

function group(bars, shares, chosen) {
  const rows = [];
  for (let i = 0; i < shares.length; i += 2) rows.push([shares[i], shares[i + 1] / 1000]);
  const least = rows.map(row => row[1]).sort((a, b) => b - a)[MOST_BARS - 1] ?? 0;
  const kept = rows.filter(([name, share]) => share >= least || chosen.includes(name));
  return made("div", "group", made("h2", "", bars.title), ...kept.map(([name, share]) => row(bars, name, share, chosen)));
}

function row(bars, name, share, chosen) {
  const bar = made("i", ""), track = made("div", "", bar);
  bar.style.width = `${100 * Math.min(Math.max(share, 0), 1)}%`;
  bar.style.background = colour(bars.colours[name]);
  const percent = share > 0 && share < .01 ? "<1 %" : `${Math.round(100 * share)} %`;
  const does = chosen.includes(name), called = made("span", "", bars.names[name]);
  if (does) called.append(made("span", "unseen", ", chosen"));
  return made("div", does ? "row chosen" : "row", called, track, made("span", "percent", percent));
}

// -- time ------------------------------------------------------------------------------------------------------------

function go(to) {
  at = Math.min(Math.max(to, 0), film.frames - 1);
  draw();
}

function step(by) {
  play(false);
  go(by > 0 ? Math.floor(at) + by : Math.ceil(at) + by);
}

function play(wanted) {
  if (wanted && at >= film.frames - 1) at = 0;
  playing = wanted;
  before = 0;
  find("play").setAttribute("aria-label", playing ? "Pause" : "Play");
  find("sign").setAttribute("d", playing ? "M3 2h4v12H3zM9 2h4v12H9z" : "M4 2l10 6-10 6z");
  if (playing) requestAnimationFrame(tick); else draw();
}

function tick(now) {
  if (!playing) return;
  const passed = before ? Math.min((now - before) / 1000, .25) : 0;
  before = now;
  go(at + passed * film.pace * speed);
  if (at >= film.frames - 1) play(false); else requestAnimationFrame(tick);
}

function faster(by) {
  const next = SPEEDS[Math.min(Math.max(SPEEDS.indexOf(speed) + by, 0), SPEEDS.length - 1)];
  speed = next;
  find("speed").value = next;
}

// -- what can be chosen ----------------------------------------------------------------------------------------------

function choose(number) {
  film = films[number];
  who = film.seats.length === 1 ? 0 : EVERYONE;
  at = 0;
  shown = "";
  find("at").max = film.frames - 1;
  find("who-label").hidden = film.seats.length < 2;
  fill("who", [["everyone", EVERYONE], ...film.seats.map((name, seat) => [name, seat])], who);
  find("layers").replaceChildren(...Object.keys(MINDS).filter(layer => film.shapes.some(shape => shape.layer === layer)).map(toggle));
  const low = Math.min(...film.earned), high = Math.max(...film.earned), wide = Math.max(film.frames - 1, 1);
  const points = film.earned.map((value, i) => `${100 * i / wide} ${95 - 90 * (value - low) / (high - low || 1)}`);
  find("earned").firstElementChild.setAttribute("d", `M${points.join("L")}`);
  fit();
}

function fill(id, options, chosen) {
  find(id).replaceChildren(...options.map(([text, value]) => new Option(text, value, false, value === chosen)));
}

function toggle(layer) {
  const box = document.createElement("input");
  box.type = "checkbox";
  box.checked = !hidden.has(layer);
  box.addEventListener("change", () => { box.checked ? hidden.delete(layer) : hidden.add(layer); draw(); });
  return made("label", "", box, MINDS[layer]);
}

function show(seat) {
  who = seat;
  find("who").value = seat;
  draw();
}

function point(event) {
  const [left, top] = film.bounds, x = event.offsetX * fine + left, y = event.offsetY * fine + top;
  const near = film.shapes.map(shape => shapeAt(shape, Math.floor(at), 0)).filter(it => {
    if (!it || it.layer !== "things" || !(it.of >= 0) || it.x === undefined || it.to_x !== undefined) return false;
    return Math.hypot(it.x - x, it.y - y) <= Math.max(it.radius ?? it.width / 2, 9 * fine);
  });
  if (film.seats.length > 1) show(near.length && near.at(-1).of !== who ? near.at(-1).of : EVERYONE);
}

const KEYS = {
  " ": () => play(!playing), ArrowLeft: () => step(-1), ArrowRight: () => step(1), Home: () => { play(false); go(0); },
  End: () => { play(false); go(film.frames - 1); }, "+": () => faster(1), "=": () => faster(1), "-": () => faster(-1),
};

function press(event) {
  const target = event.target, slides = target.type === "range";
  if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS)) return;
  if (target.matches("select, input") && !slides) return;
  if (target.matches("button") && event.key === " ") return;
  event.preventDefault();
  KEYS[event.key]();
}

function listen() {
  const clicks = { first: "Home", back: "ArrowLeft", play: " ", on: "ArrowRight", last: "End" };
  for (const id in clicks) find(id).addEventListener("click", KEYS[clicks[id]]);
  find("at").addEventListener("input", () => { play(false); go(Number(find("at").value)); });
  find("game").addEventListener("change", () => { choose(Number(find("game").value)); play(!still.matches); });
  find("speed").addEventListener("change", () => { speed = Number(find("speed").value); });
  find("who").addEventListener("change", () => show(Number(find("who").value)));
  canvas.addEventListener("click", point);
  document.addEventListener("keydown", press);
  const repaint = () => { colours.clear(); theme++; shown = ""; draw(); };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  for (const theme of document.querySelectorAll("[name=theme]")) theme.addEventListener("change", repaint);
  addEventListener("resize", fit);
}

async function start() {
  films = await unpack(find("films").textContent);
  fill("game", films.map((one, number) => [`${number + 1}: ${one.end}`, number]), 0);
  fill("speed", SPEEDS.map(value => [`${value}×`, value]), speed);
  choose(0);
  listen();
  document.body.dataset.ready = "yes";
  play(!still.matches);
}

// For whoever wants to look behind the picture: the shapes of a position.
globalThis.replay = { shapes: frame => film.shapes.map(shape => shapeAt(shape, frame, 0)).map(it => it && { ...it, shape: null, values: it.values && [...it.values] }) };

start();
