package server

import (
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"debusine"
	"debusine/api"
)

// openAPI describes every route, from the table itself and the structs of
// package api: the two cannot part.
func (s *Server) openAPI(c *call) error {
	if err := c.allow(debusine.Resource{}); err != nil {
		return err
	}
	return c.reply(describe(s.routes(), s.options.Version))
}

type object = map[string]any

// describe makes the OpenAPI 3.1 document of the routes.
func describe(routes []route, version string) object {
	d := describer{schemas: object{}}
	paths := map[string]object{}
	for _, r := range routes {
		path, parameters := openPath(r.path)
		if paths[path] == nil {
			paths[path] = object{}
		}
		paths[path][strings.ToLower(r.method)] = d.operation(r, parameters)
	}
	d.schema(reflect.TypeFor[api.Problem]())
	return object{
		"openapi":    "3.1.0",
		"info":       object{"title": "Debusine", "version": version, "description": "Debusine's API, and what is ours alone beside it. Times are RFC 3339, sizes bytes."},
		"paths":      paths,
		"components": object{"schemas": d.schemas, "securitySchemes": object{"token": object{"type": "apiKey", "in": "header", "name": "Token"}}},
		"security":   []object{{"token": []string{}}, {}},
	}
}

// openPath turns :id into {id} and * into {path}.
func openPath(path string) (open string, parameters []object) {
	var words []string
	for _, word := range strings.Split(path, "/") {
		name, isParameter := strings.CutPrefix(word, ":")
		if word == "*" {
			name, isParameter = "path", true
		}
		if isParameter {
			word = "{" + name + "}"
			parameters = append(parameters, object{"name": name, "in": "path", "required": true, "schema": object{"type": "string"}})
		}
		words = append(words, word)
	}
	return strings.Join(words, "/"), parameters
}

// describer gathers the schemas that operations refer to.
type describer struct{ schemas object }

func (d describer) operation(r route, parameters []object) object {
	success := object{"description": http.StatusText(r.status)}
	if r.answer != nil {
		kind := "application/json"
		if r.raw {
			kind = "text/event-stream"
		}
		success["content"] = object{kind: object{"schema": d.schema(reflect.TypeOf(r.answer))}}
	}
	op := object{
		"summary":     r.about,
		"operationId": strings.ToLower(r.method) + strings.NewReplacer("/", "_", ":", "", "*", "path", "-", "_").Replace(strings.TrimPrefix(r.path, "/api")),
		"responses": object{strconv.Itoa(r.status): success,
			"default": object{"description": "a fault", "content": object{"application/problem+json": object{"schema": object{"$ref": "#/components/schemas/Problem"}}}}},
		"x-right": string(r.verb),
	}
	if len(parameters) > 0 {
		op["parameters"] = parameters
	}
	if r.body != nil {
		op["requestBody"] = object{"required": true, "content": object{"application/json": object{"schema": d.schema(reflect.TypeOf(r.body))}}}
	}
	return op
}

// schema describes a Go type as encoding/json writes it.
func (d describer) schema(t reflect.Type) object {
	switch t {
	case reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case reflect.TypeFor[json.RawMessage](), reflect.TypeFor[any]():
		return object{}
	case reflect.TypeFor[[]byte]():
		return object{"type": "string", "contentEncoding": "base64"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return object{"anyOf": []object{d.schema(t.Elem()), {"type": "null"}}}
	case reflect.Slice:
		return object{"type": "array", "items": d.schema(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": d.schema(t.Elem())}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int, reflect.Int64:
		return object{"type": "integer"}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.Struct:
		return d.structure(t)
	}
	return object{"type": "string"}
}

func (d describer) structure(t reflect.Type) object {
	// Page[debusine/api.Worker] is called WorkerPage.
	name := t.Name()
	if inner, ok := strings.CutPrefix(name, "Page["); ok {
		name = strings.TrimSuffix(inner[strings.LastIndex(inner, ".")+1:], "]") + "Page"
	}
	if name != "" {
		if _, known := d.schemas[name]; known {
			return object{"$ref": "#/components/schemas/" + name}
		}
		d.schemas[name] = nil // so that a type within itself ends
	}
	properties, required := object{}, []string{}
	for i := range t.NumField() {
		f := t.Field(i)
		key, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		properties[key] = d.schema(f.Type)
		if !strings.Contains(options, "omitempty") {
			required = append(required, key)
		}
	}
	described := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		described["required"] = required
	}
	if name == "" {
		return described
	}
	d.schemas[name] = maps.Clone(described)
	return object{"$ref": "#/components/schemas/" + name}
}
