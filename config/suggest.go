package config

import "strings"

// Nearest returns the candidate that a person most likely meant by name, or "" if none is near. Case and the choice between
// "-", "_" and nothing do not count as differences.
func Nearest(name string, candidates []string) string {
	best, bestDistance := "", 3
	for _, candidate := range candidates {
		d := distance(fold(name), fold(candidate))
		if limit := 1 + len(candidate)/6; d <= limit && d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	return best
}

var noDashes = strings.NewReplacer("-", "", "_", "")

func fold(name string) string { return noDashes.Replace(strings.ToLower(name)) }

// distance counts the letters to insert, delete, replace, or swap with a neighbour to turn a into b (optimal string alignment).
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, last, row = last, row, before
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j]+cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
