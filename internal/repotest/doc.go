// Package repotest holds the repository to its own rules: who may import whom,
// what every package says about itself, how long a function or file may be,
// what lies at the top level, which state may be global.
//
// It owns those rules as tests and nothing else; there is no code here, no
// other package imports it, and go test calls it. A rule that has to give way
// is changed here, in the open, and not worked around.
package repotest
