// Package bridge tests gincontrib together with other people's middleware and
// stores.
package bridge
