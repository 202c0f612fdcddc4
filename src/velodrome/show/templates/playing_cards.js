// Playing cards, drawn: rank and suit are text in a small picture, sharp at any size. A card goes by its name, as in "QS".

const SUITS = {C: ["♣", "clubs"], D: ["♦", "diamonds"], S: ["♠", "spades"], H: ["♥", "hearts"]};
const RANKS = {
  2: ["2", "two"], 3: ["3", "three"], 4: ["4", "four"], 5: ["5", "five"], 6: ["6", "six"], 7: ["7", "seven"], 8: ["8", "eight"],
  9: ["9", "nine"], T: ["10", "ten"], J: ["J", "jack"], Q: ["Q", "queen"], K: ["K", "king"], A: ["A", "ace"],
};
const AS_TEXT = "\uFE0E"; // so that no system draws a suit as an emoji
const [LEFT, MIDDLE, RIGHT] = [18.5, 25, 31.5];
const PLACES = { // of the suit's signs, on a card of 50 by 70
  2: [[MIDDLE, 17], [MIDDLE, 53]],
  3: [[MIDDLE, 17], [MIDDLE, 35], [MIDDLE, 53]],
  4: [[LEFT, 17], [RIGHT, 17], [LEFT, 53], [RIGHT, 53]],
  5: [[LEFT, 17], [RIGHT, 17], [MIDDLE, 35], [LEFT, 53], [RIGHT, 53]],
  6: [[LEFT, 17], [RIGHT, 17], [LEFT, 35], [RIGHT, 35], [LEFT, 53], [RIGHT, 53]],
  7: [[LEFT, 17], [RIGHT, 17], [MIDDLE, 26], [LEFT, 35], [RIGHT, 35], [LEFT, 53], [RIGHT, 53]],
  8: [[LEFT, 17], [RIGHT, 17], [MIDDLE, 26], [LEFT, 35], [RIGHT, 35], [MIDDLE, 44], [LEFT, 53], [RIGHT, 53]],
  9: [[LEFT, 15], [RIGHT, 15], [LEFT, 28], [RIGHT, 28], [MIDDLE, 35], [LEFT, 42], [RIGHT, 42], [LEFT, 55], [RIGHT, 55]],
  T: [[LEFT, 15], [RIGHT, 15], [MIDDLE, 21.5], [LEFT, 28], [RIGHT, 28], [LEFT, 42], [RIGHT, 42], [MIDDLE, 48.5], [LEFT, 55], [RIGHT, 55]],
};

const suitOf = card => card[1];
const isRed = card => "DH".includes(suitOf(card));
const cardName = card => `${RANKS[card[0]][1]} of ${SUITS[suitOf(card)][1]}`;
const cardText = card => RANKS[card[0]][0] + SUITS[suitOf(card)][0] + AS_TEXT;

function drawn(kind, attributes, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", kind);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
}

function cardPicture(kind, ...inside) {
  const picture = drawn("svg", {class: `playing-card ${kind}`, viewBox: "0 0 50 70", "aria-hidden": "true"});
  picture.append(drawn("rect", {class: "paper", x: .5, y: .5, width: 49, height: 69, rx: 4.5}), ...inside);
  return picture;
}

function cardFace(card) {
  const [rank, suit] = [RANKS[card[0]][0], SUITS[suitOf(card)][0] + AS_TEXT];
  const sign = (x, y, size) => drawn("text", {x, y, "font-size": size}, suit);
  const corner = () => [drawn("text", {class: "rank", x: 6.8, y: 9, "font-size": rank.length > 1 ? 10 : 12}, rank), sign(6.8, 19, 10)];
  const turned = drawn("g", {transform: "rotate(180 25 35)"});
  turned.append(...corner());
  return cardPicture(isRed(card) ? "red" : "black", ...corner(), turned, ...middle(card, sign));
}

function middle(card, sign) {
  if (card[0] === "A") return [sign(25, 35, 26)];
  if (card[0] in PLACES) return PLACES[card[0]].map(([x, y]) => sign(x, y, 11));
  const frame = drawn("rect", {class: "frame", x: 13, y: 11, width: 24, height: 48, rx: 2});
  return [frame, drawn("text", {class: "court", x: 25, y: 29, "font-size": 23}, card[0]), sign(25, 48, 15)];
}

function cardBack() {
  return cardPicture("back", drawn("rect", {class: "pattern", x: 4, y: 4, width: 42, height: 62, rx: 2.5}));
}
