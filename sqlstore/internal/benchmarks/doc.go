// Package benchmarks measures sqlstore beside the SQL stores of other libraries.
// It is a module of its own, so that nobody inherits them.
package benchmarks
