// Package doctest runs what the documents of the repository tell a reader to type:
// every block of shell in every Markdown file, and the commands that prose and the
// comments of contrib name. Blocks of Go, YAML and JSON are compiled, loaded and parsed.
//
// A document is one shell: its blocks run in their order with a HOME and a folder of
// their own, and the first failure of a command ends the test and is shown with its line. What a
// test machine cannot run is replaced by a stand-in, and the only list of those is
// standIns. These rules make a document runnable as it is written:
//
//   - `pico-auth serve` in the foreground goes on beside, as in a second terminal, and the
//     next one ends it.
//   - A line `cd FOLDER && COMMAND` runs in a terminal of its own.
//   - CLIENT_ID=... and CLIENT_SECRET=... are what the last `client create` printed.
//   - In a block of console, lines after `$ ` are commands and the others their output;
//     numbers may differ, and ... is any text.
//
// It owns no text and is not part of the program; nothing imports it, and go test calls it.
package doctest
