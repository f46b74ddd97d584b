package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// report returns the tables of a run, as Markdown that can be read as it is.
func report(about machine, measured []scenario, r *results) string {
	var b strings.Builder
	if about.Quick {
		b.WriteString("A quick run (`make bench-quick`): small backlogs and few passes; trust the tables of a whole run alone. ")
	}
	fmt.Fprintf(&b, "Measured at %s in %s, on %d cores of %s, %s of memory, %s. Other programs took %.0f%% of it meanwhile. ",
		about.At, about.Took, about.Cores, about.CPU, about.Memory, about.System, 100*about.Others)
	var versions []string
	for _, name := range slices.Sorted(maps.Keys(about.Versions)) {
		versions = append(versions, name+" "+about.Versions[name])
	}
	fmt.Fprintf(&b, "Versions: %s.\n\n### Must reach\n\n", strings.Join(versions, ", "))
	b.WriteString(table(goalRows(r)))
	for i := range measured {
		s := &measured[i]
		fmt.Fprintf(&b, "\n### %s\n\n%s\n\n", s.title, s.about)
		b.WriteString(table(s.rows(r)))
		for _, each := range s.plots {
			fmt.Fprintf(&b, "\n![%s](benchmarks/%s)\n", each.title, each.file)
		}
	}
	for _, each := range r.failures {
		fmt.Fprintf(&b, "\nFAILED: %v\n", each)
	}
	return b.String()
}

func goalRows(r *results) [][]string {
	rows := [][]string{{"goal", "bound", "measured", ""}}
	for _, g := range goals() {
		bound := strings.TrimSpace(fmt.Sprintf("%s %v %s", g.sign(), g.bound, g.unit))
		value, ok := g.measured(r)
		if !ok {
			rows = append(rows, []string{g.what, bound, "", "not measured"})
			continue
		}
		rows = append(rows, []string{g.what, bound, strings.TrimSpace(fmt.Sprintf("%.2f %s", value, g.unit)), g.verdict(value)})
	}
	return rows
}

// rows are the table of a scenario: medians, the range of the first column, and its ratio to what the case is compared with.
func (s *scenario) rows(r *results) [][]string {
	shown := slices.DeleteFunc(slices.Clone(s.columns), func(col column) bool {
		return !slices.ContainsFunc(s.cases, func(c testCase) bool { return r.find(s.name, c.name, col.name) != nil })
	})
	compared := slices.ContainsFunc(s.cases, func(c testCase) bool { return c.against != "" })
	header := []string{""}
	for i, col := range shown {
		header = append(header, col.name+", "+col.unit)
		if i == 0 {
			header = append(header, "lowest to highest")
		}
	}
	if compared {
		header = append(header, "ratio")
	}
	rows := [][]string{append(header, "passes")}
	for i := range s.cases {
		if row := s.row(&s.cases[i], shown, compared, r); row != nil {
			rows = append(rows, row)
		}
	}
	return rows
}

// row is nil for a case that was not measured.
func (s *scenario) row(c *testCase, shown []column, compared bool, r *results) []string {
	cells, passes := []string{c.name}, 0
	for i, col := range shown {
		found := r.find(s.name, c.name, col.name)
		text, spread := "", ""
		if found != nil {
			text, passes = col.show(found.Median), max(passes, len(found.Values))
			spread = col.show(slices.Min(found.Values)) + " to " + col.show(slices.Max(found.Values))
		}
		if cells = append(cells, text); i == 0 {
			cells = append(cells, spread)
		}
	}
	if compared {
		cells = append(cells, s.ratio(c, r))
	}
	if passes == 0 {
		return nil
	}
	return append(cells, strconv.Itoa(passes))
}

// ratio compares the first column of a case.
func (s *scenario) ratio(c *testCase, r *results) string {
	own, ok := r.median(s.name, c.name, s.columns[0].name)
	base, ok2 := r.median(s.name, c.against, s.columns[0].name)
	if !ok || !ok2 || base == 0 {
		return ""
	}
	return strconv.FormatFloat(own/base, 'f', 2, 64)
}

func (c column) show(v float64) string {
	if c.digits > 0 {
		return strconv.FormatFloat(v, 'f', c.digits, 64)
	}
	return countOf(int(v + 0.5))
}

// countOf writes a number with commas between its thousands.
func countOf(n int) string {
	text := strconv.Itoa(n)
	for at := len(text) - 3; at > 0 && text[at-1] != '-'; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

// sizeOf writes a number of bytes.
func sizeOf(n int) string {
	if n >= 1<<10 && n%(1<<10) == 0 {
		return strconv.Itoa(n>>10) + " KiB"
	}
	return strconv.Itoa(n) + " B"
}

// table writes rows, the first of which is the header, as a table of Markdown whose columns stand below each other.
func table(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], 3, utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for n, row := range rows {
		for i, cell := range row {
			space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				b.WriteString("| " + cell + space + " |")
			} else {
				b.WriteString(" " + space + cell + " |")
			}
		}
		b.WriteByte('\n')
		if n > 0 {
			continue
		}
		b.WriteString("| " + strings.Repeat("-", widths[0]) + " |")
		for _, width := range widths[1:] {
			b.WriteString(" " + strings.Repeat("-", width-1) + ": |")
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// The marks between which a document has the tables of the last run.
const (
	docBegin = "<!-- tables of `make bench` -->\n"
	docEnd   = "<!-- end of the tables -->\n"
)

// writeDoc puts the tables into a document.
func writeDoc(path, tables string) error {
	if path == "" {
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("put the tables into the document: %w", err)
	}
	before, rest, ok := strings.Cut(string(text), docBegin)
	_, after, ok2 := strings.Cut(rest, docEnd)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no two lines %q and %q between which the tables belong", path, docBegin, docEnd)
	}
	whole := before + docBegin + "\n" + tables + "\n" + docEnd + after
	if err := os.WriteFile(path, []byte(whole), 0o644); err != nil { //nolint:gosec // a document for everybody
		return fmt.Errorf("put the tables into the document: %w", err)
	}
	return nil
}
