package sqlstore_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ginsession/ginsession/internal/storesuite"
	"github.com/ginsession/ginsession/sqlstore"
	"github.com/ginsession/ginsession/sqlstore/internal/sqltest"
)

// shortLoad is for outages that are over when the servers say so.
var shortLoad = storesuite.Load{PerSecond: 200, Users: 40, Between: 500 * time.Millisecond, Lasts: 400 * time.Millisecond}

func TestOutages(t *testing.T) {
	eachServer(t, func(t *testing.T, d database) {
		outages(t, d, shortLoad)
	})
}

// outages are those of one server, which forgets nothing, and of the network.
func outages(t *testing.T, d database, load storesuite.Load) {
	t.Helper()
	server := sqltest.Start(t, d.kind)
	_, table := d.newStore(t, server.Open(t, server.Addr, ""))
	wire := sqltest.StartWire(t, server.Addr)
	store := storeOf(t, server.Open(t, wire.Addr, ""), d.dialect, sqlstore.WithTable(table))
	storesuite.RunOutages(t, store, load,
		storesuite.Outage{Name: "network stalls", Begin: wire.Pause, End: wire.Resume},
		storesuite.Outage{Name: "SIGKILL", Begin: server.Kill, End: server.Restart},
		storesuite.Outage{Name: "connections cut", Begin: wire.HangUp, End: func() {}},
		storesuite.Outage{Name: "SIGKILL at once", Begin: func() { server.Kill(); server.Restart() }, End: func() {}},
	)
}

// What locks SQLite is the outage of a file.
func TestOutages_SQLite(t *testing.T) {
	outagesOfFile(t, shortLoad)
}

func outagesOfFile(t *testing.T, load storesuite.Load) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sessions.db")
	store, _ := sqlite.newStore(t, openFile(t, path, ""))
	other := openFile(t, path, "")
	other.SetMaxOpenConns(1)
	locked := storesuite.Outage{
		Begin: func() { mustExec(t, other, "BEGIN EXCLUSIVE") },
		End:   func() { mustExec(t, other, "ROLLBACK") },
	}
	locks := make([]storesuite.Outage, 4)
	for i := range locks {
		locks[i] = locked
		locks[i].Name = fmt.Sprint("locked ", i+1)
	}
	storesuite.RunOutages(t, store, load, locks...)
}

// TestSQLite_killed saves from a process of its own, which is killed: all that
// it has reported is there.
func TestSQLite_killed(t *testing.T) {
	if path := os.Getenv("SQLSTORE_TEST_FILE"); path != "" {
		saveForever(t, path)
		return
	}
	path := filepath.Join(t.TempDir(), "sessions.db")
	saver := exec.Command(os.Args[0], "-test.run", "^TestSQLite_killed$")
	saver.Env = append(os.Environ(), "SQLSTORE_TEST_FILE="+path)
	out, err := saver.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := saver.Start(); err != nil {
		t.Fatal(err)
	}
	last := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if _, err := fmt.Sscanf(lines.Text(), "saved %d", &last); err == nil && last == 300 {
			_ = saver.Process.Kill()
		}
	}
	_ = saver.Wait()
	if last < 300 {
		t.Fatalf("the process ended after %d saves", last)
	}
	store := storeOf(t, openFile(t, path, ""), sqlstore.SQLite)
	for i := 1; i <= last; i++ {
		if got, want := string(storesuite.MustLoad(t, store, fmt.Sprint("id", i)).Data), strings.Repeat(fmt.Sprint(i, " "), 100); got != want {
			t.Fatalf("record %d of %d: got %d bytes, want what was saved", i, last, len(got))
		}
	}
	storesuite.MustSave(t, store, "another", storesuite.Stored("one", nil))
}

func saveForever(t *testing.T, path string) {
	store := storeOf(t, openFile(t, path, ""), sqlstore.SQLite)
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := 1; ; i++ {
		storesuite.MustSave(t, store, fmt.Sprint("id", i), storesuite.Stored(strings.Repeat(fmt.Sprint(i, " "), 100), nil))
		fmt.Println("saved", i)
	}
}
