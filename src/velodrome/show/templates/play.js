// The table in a browser. The server knows the game; here is what it last told, and how much of that has been drawn.

const SEATS = ["you", "west", "north", "east"];
const [CARD_MS, TRICK_MS, SWEEP_MS, ASK_MS] = [420, 900, 350, 4000];
const GONE = "The program behind this page does not answer. Start velodrome play hearts again and open the address that it prints.";
const BASE = location.pathname;
const still = matchMedia("(prefers-reduced-motion: reduce)");
const at = id => document.getElementById(id);

let now = null; // the table, as the server last told it
let shown = 0; // how many cards of the deal have been drawn as played
let swept = 0; // how many of them lie on the table no more
let heard = 0; // how many have been told to whoever listens
let chosen = []; // cards to pass
let hinted = [];
let moving = false;
let waiting = false;
let hurried = false;
let wake = () => {};

// -- asking ----------------------------------------------------------------------------------------------------------

async function ask(word, body) {
  const how = body && {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body)};
  try {
    const answer = await fetch(BASE + word, how);
    const said = await answer.json();
    warn(answer.ok ? "" : said.error);
    return answer.ok ? said : said.table;
  } catch {
    warn(GONE);
  }
}

async function change(word, more = {}) {
  if (waiting || moving) return;
  waiting = true;
  const table = await ask(word, {number: now.number, ...more});
  waiting = false;
  if (table) take(table);
}

async function refresh() {
  if (document.hidden || waiting || moving) return;
  const table = await ask("table");
  if (table && table.number !== now?.number && !waiting && !moving) take(table);
}

async function hint() {
  if (moving || waiting || !now.wanted) return;
  const said = await ask("hint");
  if (!said?.cards || said.number !== now.number) return;
  hinted = said.cards.map(each => each.choice);
  at("advice").textContent = advice(said);
  draw();
}

function take(table) {
  const first = !now;
  if (first || table.dealt !== now.dealt) shown = swept = heard = 0;
  now = table;
  chosen = [];
  hinted = [];
  at("advice").textContent = "";
  if (first) {
    heard = shown = plays().length;
    swept = shown - shown % 4;
  }
  catchUp();
}

// -- what there is to tell ------------------------------------------------------------------------------------------

const plays = () => now.tricks.flatMap(trick => trick.cards.map((card, i) => ({card, seat: (trick.leader + i) % 4})));
const whole = () => now.tricks.slice(0, swept / 4); // tricks that have been taken away
const taken = seat => whole().filter(trick => trick.winner === seat).reduce((sum, trick) => sum + trick.points, 0);
const over = () => !moving && now.review !== null;
const percent = chance => chance < .005 ? "under\u00A01\u00A0%" : `${Math.round(100 * chance)}\u00A0%`;
const count = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;
const listed = parts => parts.length > 1 ? `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}` : parts.join();
const capital = text => text[0].toUpperCase() + text.slice(1);
const sure = (card, chance) => cardText(card) + (chance === null ? "" : `\u00A0(${percent(chance)})`);

function advice({adviser, cards}) {
  const would = `${capital(adviser)} would ${now.wanted > 1 ? "pass" : "play"} ${listed(cards.map(each => sure(each.choice, each.chance)))}.`;
  const next = cards.length > 1 ? [] : cards[0].weighed.slice(1, 4).filter(([, chance]) => chance >= .01);
  return would + (next.length ? ` Then ${listed(next.map(([card, chance]) => sure(card, chance)))}.` : "");
}

function prompt() {
  if (moving) return "\u00A0";
  if (over()) return ending();
  if (now.wanted > 1) return `Choose three cards to pass to ${now.names[now.pass_to]}: ${chosen.length} of 3 chosen.`;
  const lies = plays().slice(swept);
  const got = now.got.length && now.hand.length === 13 ? `${now.names[now.pass_from]} passed you ${listed(now.got.map(cardText))}. ` : "";
  if (!lies.length) return `${got}You lead.`;
  const suit = suitOf(lies[0].card);
  const follows = now.hand.some(card => suitOf(card) === suit);
  const free = now.legal.length === now.hand.length ? "what you like" : "a card that counts nothing";
  return got + (follows ? `Follow ${SUITS[suit][1]}.` : `You have no ${SUITS[suit][1]}: throw ${free}.`);
}

function ending() {
  if (now.phase !== "game over") return `The deal is over: you take ${count(now.review.points[0], "point")}.`;
  const least = Math.min(...now.scores);
  const best = now.names.filter((_, seat) => now.scores[seat] === least);
  const wins = best.length > 1 || best[0] === "You" ? "win" : "wins";
  return `The game is over: ${listed(best)} ${wins} with ${count(least, "point")}.`;
}

function refusal(card) {
  const lies = plays().slice(swept);
  const suit = lies.length && suitOf(lies[0].card);
  if (suit && now.hand.some(each => suitOf(each) === suit)) return `${cardText(card)} does not follow ${SUITS[suit][1]}.`;
  if (now.tricks.length === 0) return "The two of clubs is led first.";
  return lies.length ? `${cardText(card)} may not be thrown on the first trick.` : "Hearts may not be led before one was played.";
}

function tell() {
  const told = plays().slice(heard).map(({seat, card}, i) => {
    const trick = now.tricks[Math.floor((heard + i) / 4)];
    const ends = (heard + i) % 4 === 3 ? `; ${now.names[trick.winner]} took the trick, ${count(trick.points, "point")}` : "";
    return `${now.names[seat]}: ${cardName(card)}${ends}`;
  });
  heard = plays().length;
  if (told.length) at("heard").textContent = `${told.join(". ")}.`;
}

// -- drawing --------------------------------------------------------------------------------------------------------

function make(kind, attributes = {}, ...inside) {
  const element = document.createElement(kind);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...inside);
  return element;
}

function draw() {
  const played = plays().slice(0, shown);
  at("who").textContent = `, you against ${now.opponents}; hints by ${now.adviser}`;
  SEATS.forEach((seat, number) => {
    const box = document.querySelector(`.seat.${seat}`);
    box.querySelector(".name").replaceChildren(now.names[number], make("span", {}, count(taken(number), "point")));
    if (number) drawHeld(box.querySelector(".held"), 13 - played.filter(each => each.seat === number).length);
    const lies = played.slice(swept).find(each => each.seat === number);
    drawLying(at("trick").querySelector(`.${seat}`), lies?.card);
  });
  drawHand();
  drawScores();
  drawLast();
  drawReview();
  at("says").textContent = prompt();
  const ready = !moving && !waiting;
  at("hand").hidden = at("hint").hidden = at("keys").hidden = over();
  at("hint").disabled = !ready || !now.wanted;
  at("pass").hidden = now.wanted < 2;
  at("pass").disabled = !ready || chosen.length < now.wanted;
  at("deal").hidden = !over();
  at("deal").replaceChildren(now.phase === "game over" ? "New game " : "Next deal ", make("kbd", {}, "n"));
}

function drawHeld(box, cards) {
  while (box.children.length > cards) box.lastChild.remove();
  while (box.children.length < cards) box.append(cardBack());
}

function drawLying(box, card) {
  if (box.dataset.card === card) return;
  delete box.dataset.card;
  box.replaceChildren();
  if (!card) return;
  box.dataset.card = card;
  box.append(cardFace(card), make("span", {class: "unseen"}, `${box.className}: ${cardName(card)}`));
}

function drawHand() {
  const box = at("hand"), ready = !moving && now.wanted > 0;
  const fresh = now.hand.length === 13 ? now.got : [];
  const left = [...box.children].findIndex(button => button === document.activeElement);
  for (const button of [...box.children]) if (!now.hand.includes(button.dataset.card)) button.remove();
  now.hand.forEach((card, i) => {
    const button = box.querySelector(`[data-card="${card}"]`) ?? cardButton(card);
    if (box.children[i] !== button) box.insertBefore(button, box.children[i] ?? null);
    const legal = ready && now.legal.includes(card);
    const marks = {chosen: chosen.includes(card), hinted: hinted.includes(card), fresh: fresh.includes(card), legal};
    for (const [mark, on] of Object.entries(marks)) button.classList.toggle(mark, on);
    button.setAttribute("aria-disabled", String(!legal));
    if (now.wanted > 1) button.setAttribute("aria-pressed", String(marks.chosen));
    else button.removeAttribute("aria-pressed");
    button.setAttribute("aria-label", cardName(card) + (marks.fresh ? ", passed to you" : "") + (marks.hinted ? ", hinted" : ""));
  });
  const buttons = [...box.children];
  if (left >= 0 && !box.contains(document.activeElement)) buttons[Math.min(left, buttons.length - 1)]?.focus();
  const current = buttons.find(button => button === document.activeElement) ?? buttons.find(button => button.classList.contains("legal"));
  for (const button of buttons) button.tabIndex = button === (current ?? buttons[0]) ? 0 : -1;
}

function cardButton(card) {
  const button = make("button", {type: "button", class: "card", "data-card": card}, cardFace(card));
  button.addEventListener("click", () => choose(card));
  return button;
}

function drawScores() {
  const deals = over() || !now.review ? now.deals : now.deals.slice(0, -1);
  const row = (name, points) => make("tr", {}, make("th", {scope: "row"}, name), ...points.map(each => make("td", {class: "n"}, String(each))));
  const rows = deals.map((points, i) => row(`Deal ${i + 1}`, points));
  if (!over()) rows.push(row("This deal", now.names.map((_, seat) => taken(seat))));
  const sum = row("All deals", now.names.map((_, seat) => deals.reduce((all, points) => all + points[seat], 0)));
  sum.className = "sum";
  const head = make("tr", {}, make("th", {scope: "col"}, ""), ...now.names.map(name => make("th", {scope: "col", class: "n"}, name)));
  at("scores").replaceChildren(make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows, sum)));
}

function drawLast() {
  const trick = whole().at(-1);
  if (!trick) return at("last").replaceChildren(make("p", {class: "note"}, "None yet."));
  const cards = trick.cards.map((card, i) => {
    const who = now.names[(trick.leader + i) % 4];
    return make("li", {}, cardFace(card), make("span", {class: "unseen"}, `${cardName(card)} from`), make("span", {}, who));
  });
  const who = now.names[trick.winner];
  const says = `${who} took it, ${count(trick.points, "point")}.`;
  at("last").replaceChildren(make("ol", {class: "row"}, ...cards), make("p", {class: "note"}, says));
}

function drawReview() {
  const shows = over();
  if (at("review").hidden === !shows) return;
  at("review").hidden = !shows;
  if (!shows) return;
  const {says, decisions} = now.review;
  const weighs = decisions.some(each => each.weighed.length);
  const head = ["when", "on the table", "you", now.adviser, ...(weighs ? ["what it weighed"] : []), ""];
  const rows = decisions.map(each => reviewed(each, weighs));
  const table = make("table", {class: "wide"},
    make("thead", {}, make("tr", {}, ...head.map(name => make("th", {scope: "col"}, name)))),
    make("tbody", {}, ...rows));
  at("review-body").replaceChildren(...says.map(each => make("p", {}, each)), make("div", {class: "scroll", tabindex: "0"}, table));
}

function reviewed(each, weighs) {
  const when = each.passed ? `Pass ${each.passed}` : `Trick ${each.trick}`;
  const lies = each.lies.map(([seat, card]) => `${now.names[seat]} ${cardText(card)}`).join(", ");
  const cells = [lies || (each.passed ? `to ${now.names[now.pass_to]}` : "you lead"), sure(each.yours, each.your_chance), sure(each.choice, each.chance)];
  const row = make("tr", {class: each.same ? "same" : "differs"}, make("th", {scope: "row"}, when), ...cells.map(text => make("td", {}, text)));
  if (weighs) row.append(make("td", {}, ...each.weighed.map(([card, chance]) => weighed(card, chance))));
  row.append(make("td", {class: "mark"}, each.same ? "the same" : "differs"));
  return row;
}

function weighed(card, chance) {
  const bar = make("span", {class: "chance"}, `${cardText(card)} ${percent(chance).replace("under", "<")}`);
  bar.style.setProperty("--chance", `${100 * chance}%`);
  return bar;
}

function warn(text) {
  at("warning").hidden = !text;
  if (at("warning").textContent !== text) at("warning").textContent = text;
}

// -- moving ---------------------------------------------------------------------------------------------------------

function pause(ms) {
  if (still.matches || hurried || document.hidden) return;
  return new Promise(done => { wake = done; setTimeout(done, ms); });
}

function hurry() {
  if (!moving) return;
  hurried = true;
  wake();
}

async function catchUp() {
  if (moving) return;
  moving = true;
  while (shown < plays().length) {
    shown += 1;
    draw();
    await pause(CARD_MS);
    if (shown - swept < 4) continue;
    await pause(TRICK_MS);
    at("trick").className = `to-${SEATS[now.tricks[swept / 4].winner]}`;
    await pause(SWEEP_MS);
    at("trick").className = "";
    swept = shown;
  }
  moving = hurried = false;
  draw();
  tell();
}

// -- choosing -------------------------------------------------------------------------------------------------------

function choose(card) {
  if (moving) return hurry();
  if (!now.legal.includes(card)) return void (at("says").textContent = refusal(card));
  if (now.wanted === 1) return change("move", {cards: [card]});
  if (chosen.includes(card)) chosen = chosen.filter(each => each !== card);
  else if (chosen.length < now.wanted) chosen = [...chosen, card];
  draw();
}

function step(by) {
  const buttons = [...at("hand").children];
  if (!buttons.length) return;
  const from = buttons.findIndex(button => button === document.activeElement);
  const to = from < 0 ? buttons.findIndex(button => button.tabIndex === 0) : (from + by + buttons.length) % buttons.length;
  buttons.forEach((button, i) => { button.tabIndex = i === to ? 0 : -1; });
  buttons[to].focus();
}

const KEYS = {
  ArrowLeft: () => step(-1), ArrowRight: () => step(1), h: () => at("hint").click(), p: () => at("pass").click(),
  n: () => at("deal").hidden || at("deal").click(), Escape: hurry,
};

document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, .scroll") || !(event.key in KEYS)) return;
  event.preventDefault();
  KEYS[event.key]();
});
document.addEventListener("visibilitychange", refresh);
addEventListener("focus", refresh);
at("table").addEventListener("click", hurry);
at("hint").addEventListener("click", hint);
at("pass").addEventListener("click", () => chosen.length === now.wanted && change("move", {cards: chosen}));
at("deal").addEventListener("click", () => change("deal"));
setInterval(refresh, ASK_MS);
refresh();
