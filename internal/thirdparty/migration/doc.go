// Package migration holds a shop on gin-contrib/sessions, the same shop after
// docs/MIGRATION.md was followed line by line, and the tests that both pass;
// and tests of what that page claims.
package migration
