package redisstore_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/ginsession/ginsession/internal/docstest"
)

// TestMigration_lines vets what docs/MIGRATION.md offers of this package.
func TestMigration_lines(t *testing.T) {
	var b strings.Builder
	b.WriteString(`package page
import (
	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/redisstore"
)
var _ = []any{
	ginsession.New,
`)
	found := 0
	for _, code := range docstest.Cells(docstest.Read(t, filepath.Join("..", "docs", "MIGRATION.md")), false) {
		if strings.Contains(code, "redisstore.") {
			b.WriteString("\t" + code + ",\n")
			found++
		}
	}
	if found == 0 {
		t.Error("no Go found")
	}
	docstest.Tool(t, ".", map[string]string{"page": b.String() + "}\n"}, "vet")
}
