"use strict";

const assert = require("node:assert");
const test = require("node:test");
const { show } = require("./clock.js");

test("minutes become a time of day", () => {
  assert.strictEqual(show(9 * 60 + 5), "09:05");
  assert.strictEqual(show(24 * 60), "00:00");
});
