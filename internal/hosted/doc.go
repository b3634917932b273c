// Package hosted is the pages that users see: sign-in, registration, consent,
// account selection, device codes, signing out, the account, errors, and the page
// at /.
//
// It owns the templates, the style sheet, the catalogue of texts in each language
// and the content security policy of each page. Pages are plain forms: they need no
// script, contain no inline script or style, and load nothing from other hosts.
// Handlers decide nothing about users, sessions or authorization requests: login,
// session, directory and authorize do, and each page returns to the question what is
// still missing instead of to another page. It never uses the store. The package
// server calls New, mounts the routes of Group, and gives the protocols beside this
// one the pages that they show.
package hosted
