package store_test

import (
	"testing"

	"debusine/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

func TestANewDatabaseHasANameAndASealKey(t *testing.T) {
	db := storetest.Open(t)
	if db.Installation() != "test" || len(db.SealKey()) != 32 {
		t.Fatalf("installation %q, seal key of %d bytes", db.Installation(), len(db.SealKey()))
	}
}
