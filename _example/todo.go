package main

import (
	"slices"
	"strconv"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
)

const (
	maxTodos    = 20
	maxTodoText = 80 // letters
)

// Todo is one thing to do.
type Todo struct {
	ID   int    `json:"id"`
	Text string `json:"text"`
	Done bool   `json:"done"`
}

func addTodo(r gin.IRouter) {
	r.GET("/todo", showTodos)
	r.POST("/todo", addTodoItem)
	r.POST("/todo/toggle", toggleTodo)
	r.POST("/todo/delete", deleteTodo)
}

func showTodos(c *gin.Context) {
	todos, _ := ginsession.Get[[]Todo](ginsession.From(c), "todos")
	open := 0
	for _, t := range todos {
		if !t.Done {
			open++
		}
	}
	show(c, "todo.html", gin.H{"todos": todos, "open": open})
}

func addTodoItem(c *gin.Context) {
	text := field(c, "text")
	if text == "" || letters(text) > maxTodoText {
		reject(c, "/todo", "Say what there is to do, in at most 80 letters.")
		return
	}
	full := false
	ginsession.Update(ginsession.From(c), "todos", func(todos []Todo) []Todo {
		if full = len(todos) >= maxTodos; full {
			return todos
		}
		return append(todos, Todo{ID: nextID(todos), Text: text})
	})
	if full {
		reject(c, "/todo", "Twenty things are enough. Finish one first.")
		return
	}
	redirect(c, "/todo")
}

func nextID(todos []Todo) int {
	id := 0
	for _, t := range todos {
		id = max(id, t.ID)
	}
	return id + 1
}

func toggleTodo(c *gin.Context) {
	id, _ := strconv.Atoi(c.PostForm("id")) // 0 is nobody's
	ginsession.Update(ginsession.From(c), "todos", func(todos []Todo) []Todo {
		for i := range todos {
			if todos[i].ID == id {
				todos[i].Done = !todos[i].Done
			}
		}
		return todos
	})
	redirect(c, "/todo")
}

func deleteTodo(c *gin.Context) {
	id, _ := strconv.Atoi(c.PostForm("id"))
	ginsession.Update(ginsession.From(c), "todos", func(todos []Todo) []Todo {
		return slices.DeleteFunc(todos, func(t Todo) bool { return t.ID == id })
	})
	redirect(c, "/todo")
}
