"use strict";

function show(minutes) {
  const hours = Math.floor(minutes / 60) % 24;
  return `${String(hours).padStart(2, "0")}:${String(minutes % 60).padStart(2, "0")}`;
}

if (require.main === module) {
  console.log(show(9 * 60 + 5));
}

module.exports = { show };
