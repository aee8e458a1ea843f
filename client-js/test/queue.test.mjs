import assert from "node:assert/strict";
import { test } from "node:test";
import { CANCEL, COMPLETE, FILE, LOST, MINT, POLICY, PUT, SLOT, answer, bytes, hang, problem, stage, until } from "./stage.mjs";

const files = (count, size = 10) => Array.from({ length: count }, (_, n) => bytes(size, `${n}.png`));
/** A broker that mints ticket `t0`, `t1`, … in order, and answers for each by its file's name. */
function many(script = {}, { slot = {}, ...options } = {}) {
  const names = [];
  const lines = { [POLICY]: answer(200, { ...SLOT, max_entries: 1000, ...slot }) };
  for (let n = 0; n < 40; n += 1) {
    const done = () => answer(200, { id: `t${n}`, state: "committed", file: { ...FILE, id: `t${n}`, name: names[n] } });
    lines[`POST /v1/tickets/t${n}/complete`] = done;
    lines[`DELETE /v1/tickets/t${n}`] = answer(204);
    lines[`GET /v1/tickets/t${n}`] = answer(200, { id: `t${n}`, state: "open", size: 10 });
  }
  lines[MINT] = ({ body }) => {
    const [{ name }] = JSON.parse(body).files;
    const n = names.push(name) - 1;
    const transfer = { kind: "put", method: "PUT", url: `store:${name}`, headers: {}, expires_in: 900 };
    return answer(201, { tickets: [{ id: `t${n}`, state: "open", transfer }], errors: [] });
  };
  const played = stage({ ...lines, ...script }, options);
  return { ...played, names, queue: (given = [], options = {}) => played.client.upload(given, { slot: "photos", ...options }) };
}
const states = ({ items }) => items.map(({ state }) => state);

test("many files are uploaded, and the queue is done when all have ended", async () => {
  const { queue } = many();
  const all = queue(files(7));
  const heard = [];
  all.addEventListener("done", ({ detail }) => heard.push(detail.length));
  const items = await all.done;
  assert.deepEqual(items.map(({ result }) => result.name), files(7).map(({ name }) => name));
  assert.deepEqual(heard, [7]);
  assert.deepEqual([all.progress.loaded, all.progress.total, all.progress.percent], [70, 70, 100]);
});

test("a file that fails does not touch the others", async () => {
  const { queue } = many({
    [PUT]: ({ url }) => (url === "store:1.png" ? LOST : url === "store:2.png" ? answer(400) : answer(200)),
  });
  const all = queue(files(4));
  await all.done;
  assert.deepEqual(states(all), ["committed", "failed", "failed", "committed"]);
  assert.equal(all.items[1].error.code, "storage-unreachable");
  assert.deepEqual([all.progress.total, all.progress.percent], [20, 100]);
});

test("one by one, each file ends before the next begins", async () => {
  const slow = (n) => () => new Promise((resolve) => {
    const file = { ...FILE, id: `t${n}` };
    played.clock.after(5000, () => resolve(answer(200, { id: `t${n}`, state: "committed", file })));
  });
  const played = many(Object.fromEntries([0, 1, 2].map((n) => [`POST /v1/tickets/t${n}/complete`, slow(n)])));
  const { queue, keys } = played;
  const all = queue(files(3), { oneByOne: true });
  assert.equal(all.oneByOne, true);
  await all.done;
  const one = (n) => [MINT, PUT, `POST /v1/tickets/t${n}/complete`];
  assert.deepEqual(keys(), [...one(0), ...one(1), ...one(2)]);
  assert.deepEqual(played.gaps(MINT), [5, 5]);
});

test("several at a time, and never more than were asked for", async () => {
  let busy = 0;
  let most = 0;
  const put = async () => {
    most = Math.max(most, (busy += 1));
    await new Promise(setImmediate);
    busy -= 1;
    return answer(200);
  };
  await many({ [PUT]: put }).queue(files(20)).done;
  assert.ok(most >= 4 && most <= 5, `${most}`);
  most = 0;
  await many({ [PUT]: put }).queue(files(20), { concurrency: 2 }).done;
  assert.equal(most, 2);
});

test("two queues of a client share its bound", async () => {
  let busy = 0;
  let most = 0;
  const { queue } = many({
    [PUT]: async () => {
      most = Math.max(most, (busy += 1));
      await new Promise(setImmediate);
      busy -= 1;
      return answer(200);
    },
  }, { concurrency: 3 });
  await Promise.all([queue(files(10)).done, queue(files(10)).done]);
  assert.equal(most, 3);
});

test("a file gets its ticket when its turn comes, not before", async () => {
  const { queue, count } = many({ [PUT]: hang });
  const all = queue(files(20), { concurrency: 2 });
  await until(() => count(PUT) === 2);
  await new Promise(setImmediate);
  assert.equal(count(MINT), 2);
  all.cancel();
  await all.done;
});

test("what the policy refuses is refused at once, before any turn", async () => {
  const { queue, count } = many({ [PUT]: hang }, { slot: { max_file_size: 50 } });
  const all = queue([...files(3), bytes(100, "large.png")], { oneByOne: true });
  await until(() => count(PUT) === 1 && all.items[3].ended);
  assert.equal(all.items[3].error.code, "file-too-large");
  assert.deepEqual(states(all).slice(1), ["waiting", "waiting", "rejected"]);
  all.cancel();
  await all.done;
});

test("files beyond a slot's room are refused at once, unless new ones replace old ones", async () => {
  const slot = { max_entries: 5, on_full: "reject", usage: { files: 3, open_tickets: 0 } };
  const full = many({}, { slot });
  const all = full.queue(files(4));
  await all.done;
  assert.deepEqual(states(all), ["committed", "committed", "rejected", "rejected"]);
  assert.deepEqual([all.items[2].error.code, all.items[2].error.status], ["slot-full", 409]);
  assert.equal(full.count(MINT), 2);
  const replaced = many({}, { slot: { ...slot, on_full: "replace" } }).queue(files(4));
  await replaced.done;
  assert.deepEqual([...new Set(states(replaced))], ["committed"]);
});

test("a refusal for want of room is never from an old answer", async () => {
  const full = { ...SLOT, max_entries: 5, usage: { files: 5, open_tickets: 0 } };
  const played = many({ [POLICY]: [answer(200, full), answer(200, { ...full, usage: { files: 3, open_tickets: 0 } })] });
  await played.client.slot("photos");
  const all = played.queue(files(2));
  await all.done;
  assert.deepEqual(states(all), ["committed", "committed"]);
});

test("a queue can be filled by and by, started late, paused and emptied", async () => {
  const { client, keys, count } = many({ [PUT]: (request) => (request.url === "store:slow.png" ? hang(request) : answer(200)) });
  const queue = client.queue({ slot: "photos", autoStart: false });
  assert.deepEqual(await queue.done, []);
  const [first, second] = queue.add(files(2));
  await new Promise(setImmediate);
  assert.deepEqual([keys(), first.waitingFor, second.waitingFor], [[], "start", "start"]);
  queue.remove(second);
  queue.start();
  await queue.done;
  assert.deepEqual(states(queue), ["committed"]);
  const [slow] = queue.add([bytes(10, "slow.png")], { metadata: { alt: "slow" } });
  await until(() => count(PUT) === 2);
  queue.pause();
  assert.deepEqual([queue.paused, slow.waitingFor], [true, "resume"]);
  const [late] = queue.add(files(1));
  assert.equal(late.waitingFor, "resume");
  queue.resume();
  await late.done;
  queue.remove(slow);
  assert.deepEqual(await slow.done.catch(({ code }) => code), "cancelled");
  assert.equal(queue.items.length, 2);
});

test("a paused file does not keep the others from their turn", async () => {
  const { queue, count } = many({ [PUT]: (request) => (request.url === "store:0.png" && count(PUT) === 1 ? hang(request) : answer(200)) });
  const all = queue(files(3), { oneByOne: true });
  await until(() => count(PUT) === 1);
  all.items[0].pause();
  await until(() => all.items[2].ended);
  assert.deepEqual(states(all), ["waiting", "committed", "committed"]);
  all.items[0].resume();
  await all.done;
  assert.deepEqual([...new Set(states(all))], ["committed"]);
});

test("an upload that is paused in the line does not take its turn with it", async () => {
  const { queue, count } = many({ [PUT]: (request) => (request.url === "store:0.png" && count(PUT) === 1 ? hang(request) : answer(200)) });
  const all = queue(files(3), { oneByOne: true });
  await until(() => count(PUT) === 1);
  // Both stand in line; the first of them is paused at the moment its turn comes.
  all.items[0].addEventListener("state", () => all.items[1].pause());
  all.items[0].cancel();
  await until(() => all.items[2].ended);
  assert.deepEqual(states(all), ["cancelled", "waiting", "committed"]);
  all.items[1].resume();
  await all.done;
  assert.equal(all.items[1].state, "committed");
});

test("everything that failed is tried once more, and nothing else", async () => {
  let down = true;
  const { queue, count } = many({
    [PUT]: ({ url }) => (url === "store:1.png" && down ? LOST : answer(200)),
    [MINT.replace("POST", "GET")]: answer(200),
  });
  const all = queue(files(3));
  await all.done;
  assert.deepEqual(states(all), ["committed", "failed", "committed"]);
  down = false;
  const before = count(PUT);
  all.items[1].retry().catch(() => {});
  const again = all.done;
  await again;
  assert.deepEqual([states(all), count(PUT)], [["committed", "failed", "committed"].fill("committed"), before + 1]);
});

test("the signal of a queue cancels all of it", async () => {
  const abort = new AbortController();
  const { queue, count } = many({ [PUT]: hang });
  const all = queue(files(3), { signal: abort.signal });
  await until(() => count(PUT) === 3);
  abort.abort();
  await all.done;
  assert.deepEqual([...new Set(states(all))], ["cancelled"]);
  assert.equal([0, 1, 2].reduce((sum, n) => sum + count(`DELETE /v1/tickets/t${n}`), 0), 3);
});

test("total progress is of bytes, with speed and time left, and never runs backwards to a hundred", async () => {
  const seen = [];
  const played = many({
    [PUT]: ({ onSent }) =>
      new Promise((resolve) => {
        played.clock.after(2000, () => onSent(50));
        played.clock.after(4000, () => (onSent(100), resolve(answer(200))));
      }),
  });
  const all = played.queue(files(2, 100), { onProgress: (progress) => seen.push(progress) });
  await all.done;
  const half = seen.find(({ loaded }) => loaded === 100);
  assert.deepEqual([half.total, half.percent, half.speed, half.timeLeft], [200, 50, 50, 2]);
  assert.ok(seen.every(({ percent, loaded }) => percent < 100 || loaded === 200));
  assert.equal(seen.filter(({ percent }) => percent === 100).length, 1);
});
