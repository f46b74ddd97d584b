// Package display shows the live account of the demo: on a terminal a table that is redrawn in place, elsewhere one line
// a second. It uses plain ANSI sequences, which every terminal of the supported systems knows.
package display
