package main

import (
	"bytes"
	"fmt"
	"image/color"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

var (
	oursColor  = color.RGBA{R: 0x0b, G: 0x6e, B: 0x4f, A: 0xff}
	otherColor = color.RGBA{R: 0x9a, G: 0xa5, B: 0xb1, A: 0xff}
	inkColor   = color.RGBA{R: 0x22, G: 0x22, B: 0x22, A: 0xff}
)

const (
	chartWidth  = 26 * vg.Centimeter
	chartHeight = 13 * vg.Centimeter
	chartTitle  = "Microseconds: less is better"
	margin      = vg.Centimeter / 2
	sans        = "Liberation Sans, Arial, Helvetica, sans-serif"
)

// drawChart draws a panel of bars for each shape but untouched: the variants
// that need no server.
func drawChart(t *table) ([]byte, error) {
	canvas := vgsvg.NewWith(vgsvg.UseWH(chartWidth, chartHeight))
	whole := draw.New(canvas)
	whole.SetColor(color.White)
	whole.Fill(whole.Path())
	title := text.Style{Font: face(14), Color: inkColor, XAlign: text.XCenter, YAlign: text.YTop, Handler: plot.DefaultTextHandler}
	whole.FillText(title, vg.Point{X: chartWidth / 2, Y: chartHeight - margin}, chartTitle)
	const columns, rows = 2, 2
	tiles := draw.Tiles{
		Cols: columns, Rows: rows, PadX: margin, PadY: margin,
		PadTop: 3 * margin, PadBottom: margin, PadLeft: margin, PadRight: margin,
	}
	for i, name := range []string{"read", "write", "log-in", "flash"} {
		p, err := panel(t, findShape(name))
		if err != nil {
			return nil, err
		}
		p.Draw(tiles.At(whole, i%columns, i/columns))
	}
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return nil, err
	}
	return []byte(withSans(b.String())), nil
}

// withSans names the fonts that a browser may take in place of the one that the
// text was measured with.
func withSans(svg string) string {
	return strings.ReplaceAll(svg, "font-family:Liberation Sans", "font-family:"+sans)
}

// charted are the rows of the chart, from bottom to top.
func (t *table) charted() (rows []*variant) {
	for _, v := range t.rows {
		if v.server == "" && v.storage != "" && v.storage != inFlask {
			rows = append([]*variant{v}, rows...)
		}
	}
	return rows
}

func panel(t *table, s *shape) (*plot.Plot, error) {
	p := plot.New()
	p.BackgroundColor = color.White
	p.Title.Text = s.name
	if len(s.paths) > 1 {
		p.Title.Text += " (two requests)"
	}
	p.Title.TextStyle.Font, p.Title.TextStyle.Color = face(13), inkColor
	p.Title.Padding = vg.Points(4)
	top := 0.0
	for _, v := range t.charted() {
		c, _ := t.at(v, s)
		top = max(top, c.us)
	}
	p.HideAxes()
	p.X.Min, p.X.Max = -1.3*top, 1.2*top // names on the left, figures on the right
	for i, v := range t.charted() {
		c, _ := t.at(v, s)
		if err := addBar(p, v, i, c.us); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// places are short names of storages.
var places = map[string]string{inCookie: "cookie", inMemory: "memory"}

func face(size vg.Length) font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
}

// addBar draws one variant's name, bar and figure. Text is aligned to the left:
// its font may be wider where it is shown than it was measured here.
func addBar(p *plot.Plot, v *variant, at int, us float64) error {
	bar, err := plotter.NewBarChart(plotter.Values{us}, vg.Points(16))
	if err != nil {
		return err
	}
	bar.Horizontal, bar.XMin = true, float64(at)
	bar.LineStyle.Width, bar.Color = 0, otherColor
	if v.library == ours {
		bar.Color = oursColor
	}
	labels, err := plotter.NewLabels(plotter.XYLabels{
		XYs:    plotter.XYs{{X: p.X.Min, Y: float64(at)}, {X: us, Y: float64(at)}},
		Labels: []string{v.library + " (" + places[v.storage] + ")", fmt.Sprintf("%.1f", us)},
	})
	if err != nil {
		return err
	}
	for i := range labels.TextStyle {
		labels.TextStyle[i].Font, labels.TextStyle[i].Color, labels.TextStyle[i].YAlign = face(11), inkColor, text.YCenter
	}
	labels.Offset.X = vg.Points(4)
	p.Add(bar, labels)
	return nil
}
