// Package repotest tests the rules of the repository: the imports between layers,
// the comment of every package, the length of functions and files, the files at the
// top level, global state, and the words of every text.
//
// It owns those rules as tests and nothing else; no other package imports it, and
// go test calls it. A rule that no longer fits is changed here, with a reason in the
// commit, and not worked around.
package repotest
