package main

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
)

const maxQuantity = 99

// Product is what the shop sells. Prices are in cents: floats cannot hold
// 0.10.
type Product struct {
	SKU, Name, Note string
	Cents           int
}

var catalog = []Product{
	{"berry", "Juniper berries", "Hand-picked, 50 g", 490},
	{"tonic", "Tonic water", "Four bottles, dry", 680},
	{"glass", "Copa glass", "Mouth-blown, 60 cl", 1950},
	{"spoon", "Bar spoon", "Steel, 30 cm", 1275},
}

// Line is one product in the cart. The session has no prices: they may change
// before the user pays.
type Line struct {
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
}

func addCart(r gin.IRouter) {
	r.GET("/cart", showCart)
	r.POST("/cart/add", addToCart)
	r.POST("/cart/quantity", setQuantity)
	r.POST("/cart/remove", removeFromCart)
}

// row is a line of the cart with what the catalog says about it.
type row struct {
	Product
	Quantity int
}

// Sum is the row's price in cents.
func (r row) Sum() int { return r.Cents * r.Quantity }

// cart reads the session's cart. What the shop no longer sells is left out.
func cart(s *ginsession.Session) (rows []row, cents int) {
	lines, _ := ginsession.Get[[]Line](s, "cart")
	for _, l := range lines {
		if p, ok := product(l.SKU); ok {
			rows = append(rows, row{p, l.Quantity})
			cents += p.Cents * l.Quantity
		}
	}
	return rows, cents
}

func product(sku string) (Product, bool) {
	i := slices.IndexFunc(catalog, func(p Product) bool { return p.SKU == sku })
	if i < 0 {
		return Product{}, false
	}
	return catalog[i], true
}

func showCart(c *gin.Context) {
	rows, total := cart(ginsession.From(c))
	show(c, "cart.html", gin.H{"catalog": catalog, "cart": rows, "total": total, "most": maxQuantity})
}

func addToCart(c *gin.Context) {
	p, ok := product(c.PostForm("sku"))
	if !ok {
		reject(c, "/cart", "We do not sell that.")
		return
	}
	changeLine(c, p.SKU, func(quantity int) int { return quantity + 1 })
	ginsession.From(c).AddFlash(p.Name+" is in your cart", "success")
	redirect(c, "/cart")
}

func setQuantity(c *gin.Context) {
	p, known := product(c.PostForm("sku"))
	quantity, err := strconv.Atoi(field(c, "quantity"))
	if !known || err != nil || quantity < 0 || quantity > maxQuantity {
		reject(c, "/cart", "Enter a quantity from 0 to 99.")
		return
	}
	changeLine(c, p.SKU, func(int) int { return quantity })
	redirect(c, "/cart")
}

func removeFromCart(c *gin.Context) {
	changeLine(c, c.PostForm("sku"), func(int) int { return 0 })
	redirect(c, "/cart")
}

// changeLine changes how many of a product are in the cart; none removes it.
func changeLine(c *gin.Context, sku string, change func(quantity int) int) {
	ginsession.Update(ginsession.From(c), "cart", func(lines []Line) []Line {
		i := slices.IndexFunc(lines, func(l Line) bool { return l.SKU == sku })
		if i < 0 {
			i, lines = len(lines), append(lines, Line{SKU: sku})
		}
		lines[i].Quantity = min(change(lines[i].Quantity), maxQuantity)
		return slices.DeleteFunc(lines, func(l Line) bool { return l.Quantity == 0 })
	})
}

// price writes cents as euros.
func price(cents int) string { return fmt.Sprintf("€%d.%02d", cents/100, cents%100) }
