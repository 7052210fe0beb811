package admin

import "time"

// A chart is a stacked column chart in the units of its view box, ready for SVG.
type chart struct {
	Width, Height int
	Columns       []column
	Lines         []gridLine
	Ticks         []tick
	Max           int
	Empty         bool
}

// A column is one hour.
type column struct {
	X, Width float64
	Start    time.Time
	End      time.Time
	Total    int
	Blocks   []block
}

// A block is one outcome's share of a column.
type block struct {
	Outcome Outcome
	Y, H    float64
	N       int
}

type gridLine struct {
	Y     float64
	Label int
}

type tick struct {
	X    float64
	Time time.Time
}

const (
	chartLeft   = 36
	chartTop    = 8
	chartBottom = 22
)

// drawHours lays out the columns in a box of the given size.
func drawHours(hours []HourTotals, width, height int) chart {
	c := chart{Width: width, Height: height, Empty: true}
	for _, h := range hours {
		n := 0
		for _, k := range h.Counts {
			n += k
		}
		c.Max = max(c.Max, n)
	}
	c.Empty = c.Max == 0
	ceiling := niceCeiling(c.Max)
	inner := float64(height - chartTop - chartBottom)
	scale := inner / float64(ceiling)
	for i := 0; i <= 4; i++ {
		if ceiling*i%4 == 0 {
			c.Lines = append(c.Lines, gridLine{Y: chartTop + inner - float64(ceiling*i/4)*scale, Label: ceiling * i / 4})
		}
	}
	step := float64(width-chartLeft) / float64(max(1, len(hours)))
	for i, h := range hours {
		col := column{X: chartLeft + float64(i)*step + step*0.14, Width: step * 0.72, Start: h.Start, End: h.Start.Add(time.Hour)}
		y := chartTop + inner
		for _, o := range Outcomes() {
			n := h.Counts[o]
			if n == 0 {
				continue
			}
			tall := float64(n) * scale
			y -= tall
			col.Total += n
			col.Blocks = append(col.Blocks, block{Outcome: o, Y: y, H: max(tall-0.8, 0.6), N: n})
		}
		c.Columns = append(c.Columns, col)
		if i%6 == 0 {
			c.Ticks = append(c.Ticks, tick{X: col.X, Time: h.Start})
		}
	}
	return c
}

// niceCeiling is the smallest number that is not below n and whose quarters are round.
func niceCeiling(n int) int {
	for unit := 4; ; unit *= 10 {
		for _, f := range []int{10, 15, 20, 30, 50, 75} {
			if c := unit * f / 10; c >= n && c%4 == 0 {
				return c
			}
		}
	}
}
