// Package thirdparty tests ginsession together with other people's
// middlewares and libraries. It is a module of its own, so that users of
// ginsession inherit none of them.
package thirdparty
