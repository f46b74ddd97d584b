package main

import (
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// plotting is a plot of a scenario: a bar for each case, or lines.
type plotting struct {
	file, title, x string
	metric         column
	also           column // a second line, dashed, for each line; the zero column for none
	lines          []line // none: bars
	without        string // a case that is far too large for a bar beside the others
	logX, logY     bool
}

// line connects cases.
type line struct {
	label  string
	points []point
}

// point is a case, and where it stands.
type point struct {
	x    float64
	name string
}

// bars is a plot with a bar for each case.
func bars(file, title string, metric column) plotting {
	return plotting{file: file, title: title, metric: metric}
}

// palette are colours that can also be told apart by those who see no red or green (Okabe and Ito).
var palette = []color.RGBA{
	{R: 0x00, G: 0x72, B: 0xb2, A: 0xff}, {R: 0xd5, G: 0x5e, B: 0x00, A: 0xff}, {R: 0x00, G: 0x9e, B: 0x73, A: 0xff}, {R: 0xcc, G: 0x79, B: 0xa7, A: 0xff},
}

func writePlots(folder string, measured []scenario, r *results) error {
	if folder == "" {
		return nil
	}
	if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // pictures for everybody
		return fmt.Errorf("write the plots: %w", err)
	}
	for i := range measured {
		for _, each := range measured[i].plots {
			if err := each.write(filepath.Join(folder, each.file), &measured[i], r); err != nil {
				return fmt.Errorf("write the plot %s: %w", each.file, err)
			}
		}
	}
	return nil
}

func (p *plotting) write(path string, s *scenario, r *results) error {
	picture := plot.New()
	picture.Title.Text, picture.Title.Padding = p.title, vg.Points(8)
	picture.BackgroundColor = color.White
	height := 10 * vg.Centimeter
	var drawn int
	var err error
	if p.lines == nil {
		drawn, err = p.drawBars(picture, s, r)
		height = vg.Length(drawn+3) * vg.Centimeter
	} else {
		drawn, err = p.drawLines(picture, s, r)
	}
	if err != nil || drawn == 0 { // nothing of it was measured
		return err
	}
	return picture.Save(22*vg.Centimeter, height, path)
}

// drawBars draws the first case at the top.
func (p *plotting) drawBars(picture *plot.Plot, s *scenario, r *results) (drawn int, err error) {
	var values plotter.Values
	var names []string
	for _, each := range slices.Backward(s.cases) {
		if value, ok := r.median(s.name, each.name, p.metric.name); ok && each.name != p.without {
			values, names = append(values, value), append(names, each.name)
		}
	}
	if len(values) == 0 {
		return 0, nil
	}
	chart, err := plotter.NewBarChart(values, vg.Points(16))
	if err != nil {
		return 0, err
	}
	chart.Horizontal, chart.Color, chart.LineStyle.Width = true, palette[0], 0
	picture.Add(plotter.NewGrid(), chart)
	picture.NominalY(names...)
	picture.X.Min, picture.X.Max = 0, 1.03*slices.Max(values) // a margin for the last label
	picture.X.Tick.Marker = counts{plot.DefaultTicks{}}
	return len(values), nil
}

func (p *plotting) drawLines(picture *plot.Plot, s *scenario, r *results) (drawn int, err error) {
	picture.X.Label.Text = p.x
	picture.X.Tick.Marker, picture.Y.Tick.Marker = counts{plot.DefaultTicks{}}, counts{plot.DefaultTicks{}}
	if p.logX {
		picture.X.Scale, picture.X.Tick.Marker = plot.LogScale{}, steps{}
	}
	if p.logY {
		picture.Y.Scale, picture.Y.Tick.Marker = plot.LogScale{}, steps{}
	} else {
		picture.Y.Min = 0
	}
	picture.Add(plotter.NewGrid())
	picture.Legend.Top, picture.Legend.Left = true, true
	for i, each := range p.lines {
		for _, metric := range []column{p.metric, p.also} {
			found := p.points(each, metric, s, r)
			if len(found) == 0 {
				continue
			}
			curve, dots, err := plotter.NewLinePoints(found)
			if err != nil {
				return drawn, err
			}
			curve.Color, dots.Color = palette[i%len(palette)], palette[i%len(palette)]
			label := each.label
			if p.also != (column{}) {
				label += ", " + metric.name
			}
			if metric == p.also {
				curve.Dashes = []vg.Length{vg.Points(5), vg.Points(3)}
			}
			picture.Add(curve, dots)
			picture.Legend.Add(label, curve, dots)
			drawn++
		}
	}
	return drawn, nil
}

// points are what was measured of a line. A scale of logarithms has no place for what is not above 0.
func (p *plotting) points(l line, metric column, s *scenario, r *results) plotter.XYs {
	var found plotter.XYs
	for _, each := range l.points {
		if value, ok := r.median(s.name, each.name, metric.name); ok && (value > 0 || !p.logY) {
			found = append(found, plotter.XY{X: each.x, Y: value})
		}
	}
	return found
}

// steps labels a scale of logarithms with 1, 2 and 5 times each power of ten.
type steps struct{}

// Ticks implements [plot.Ticker].
func (steps) Ticks(low, high float64) []plot.Tick {
	var ticks []plot.Tick
	low = max(low, math.SmallestNonzeroFloat32) // a scale of logarithms has no 0
	for power := math.Pow10(int(math.Floor(math.Log10(low)))); power <= high; power *= 10 {
		for _, step := range []float64{1, 2, 5} {
			v := step * power
			if v < low || v > high {
				continue
			}
			label := strconv.FormatFloat(v, 'g', 3, 64)
			if v >= 1 {
				label = countOf(int(math.Round(v)))
			}
			ticks = append(ticks, plot.Tick{Value: v, Label: label})
		}
	}
	return ticks
}

// counts labels ticks with whole numbers.
type counts struct{ plot.Ticker }

// Ticks implements [plot.Ticker].
func (c counts) Ticks(low, high float64) []plot.Tick {
	ticks := c.Ticker.Ticks(low, high)
	for i := range ticks {
		if v := ticks[i].Value; ticks[i].Label != "" && v == float64(int(v)) {
			ticks[i].Label = countOf(int(v))
		}
	}
	return ticks
}
