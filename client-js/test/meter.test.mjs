import assert from "node:assert/strict";
import { test } from "node:test";
import { Meter } from "../build/meter.js";

const TOTAL = 100_000;

test("speed is of the last seconds, and unknown in the first", () => {
  const meter = new Meter();
  const speeds = [0, 500, 1000, 2000, 10_000, 20_000].map((now) => meter.read(now, now * 2, TOTAL, false).speed);
  assert.deepEqual(speeds, [null, null, 2000, 2000, 2000, 2000]);
  assert.equal(meter.read(20_500, 40_000, TOTAL, false).speed < 2000, true);
});

test("bytes that must be sent again make the measure begin anew", () => {
  const meter = new Meter();
  meter.read(0, 0, TOTAL, false);
  meter.read(2000, 20_000, TOTAL, false);
  assert.deepEqual(meter.read(2100, 5000, TOTAL, false), { loaded: 5000, total: TOTAL, percent: 5, speed: null, timeLeft: null });
  assert.equal(meter.read(4100, 7000, TOTAL, false).speed, 1000);
});

test("nothing is a hundred percent but what is committed", () => {
  const meter = new Meter();
  assert.equal(meter.read(0, TOTAL, TOTAL, false).percent, 99);
  assert.equal(meter.read(0, TOTAL, TOTAL, true).percent, 100);
  assert.equal(meter.read(0, 0, 0, false).percent, 0);
});
