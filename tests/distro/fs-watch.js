// SPDX-License-Identifier: GPL-2.0-only
//
// fs-watch: watch each file that a line of standard input names, until an event
// finds it gone.

const fs = require("fs");

require("readline").createInterface({ input: process.stdin }).on("line", path => {
	const watcher = fs.watch(path, () => fs.existsSync(path) || watcher.close());
}).on("close", process.exit);
