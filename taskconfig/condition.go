package taskconfig

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"debusine"
)

// Condition is a condition on a set of tags: a list of tags that must all be there,
// or a boolean expression of tags with and, or, not (also &, |, !) and parentheses,
// such as "task:source-package:linux and not worker:build-arch:riscv64".
// The zero Condition holds for every set.
type Condition struct {
	list []string
	text string
	expr expression
}

// expression holds for a set of tags or not.
type expression func(has func(tag string) bool) bool

const (
	longestExpression = 2000 // bytes
	deepestExpression = 50   // parentheses and nots within one another
)

// IsZero says that there is no condition.
func (c Condition) IsZero() bool { return len(c.list) == 0 && c.text == "" }

// Holds says whether the tags meet the condition.
func (c Condition) Holds(tags []string) bool {
	has := func(tag string) bool { return slices.Contains(tags, tag) }
	if c.expr != nil {
		return c.expr(has)
	}
	return !slices.ContainsFunc(c.list, func(tag string) bool { return !has(tag) })
}

// String is the condition as an expression.
func (c Condition) String() string {
	if c.text != "" {
		return c.text
	}
	return strings.Join(c.list, " and ")
}

// MarshalJSON writes what was read.
func (c Condition) MarshalJSON() ([]byte, error) {
	if c.text != "" {
		return json.Marshal(c.text)
	}
	return json.Marshal(append([]string{}, c.list...))
}

// UnmarshalJSON reads a list of tags or an expression.
func (c *Condition) UnmarshalJSON(raw []byte) error {
	var list []string
	if json.Unmarshal(raw, &list) == nil {
		if len(list) > mostNames {
			return debusine.Invalidf("a condition has more than %d tags", mostNames)
		}
		for _, tag := range list {
			if !isTag(tag) {
				return debusine.Invalidf("%.100q in a condition is no tag", tag)
			}
		}
		*c = Condition{list: list}
		return nil
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return debusine.Invalidf("a condition on tags is a list of tags or an expression, not %.60s", raw)
	}
	parsed, err := ParseCondition(text)
	if err == nil {
		*c = parsed
	}
	return err
}

func isTag(s string) bool {
	return s != "" && len(s) <= longestName && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("()&|!", r) })
}

// ParseCondition reads a boolean expression of tags; an empty one is no condition.
func ParseCondition(text string) (Condition, error) {
	if len(text) > longestExpression {
		return Condition{}, debusine.Invalidf("a condition on tags has %d bytes, %d are allowed", len(text), longestExpression)
	}
	p := parser{words: words(text)}
	if len(p.words) == 0 {
		return Condition{}, nil
	}
	expr, err := p.or(0)
	if err == nil && len(p.words) > 0 {
		err = fmt.Errorf("%q is too much", p.words[0])
	}
	if err != nil {
		return Condition{}, debusine.Invalid{What: fmt.Sprintf("the condition %.120q on tags: %s", text, err),
			Hint: "it is made of tags, and, or, not, and parentheses"}
	}
	return Condition{text: strings.TrimSpace(text), expr: expr}, nil
}

// words splits an expression; doubled signs (&&, ||) are the single ones.
func words(text string) (list []string) {
	for _, field := range strings.Fields(text) {
		for field != "" {
			i := strings.IndexAny(field, "()&|!")
			switch {
			case i < 0:
				list, field = append(list, field), ""
			case i > 0:
				list, field = append(list, field[:i]), field[i:]
			default:
				sign := field[:1]
				if field = field[1:]; strings.Contains("&|", sign) {
					field = strings.TrimPrefix(field, sign)
				}
				list = append(list, sign)
			}
		}
	}
	return list
}

// parser reads an expression by descent: or binds weaker than and, and than not.
type parser struct{ words []string }

func (p *parser) next(any ...string) bool {
	if len(p.words) == 0 || !slices.Contains(any, p.words[0]) {
		return false
	}
	p.words = p.words[1:]
	return true
}

func (p *parser) or(depth int) (expression, error) {
	left, err := p.and(depth)
	for err == nil && p.next("or", "|") {
		a := left
		var b expression
		b, err = p.and(depth)
		left = func(has func(string) bool) bool { return a(has) || b(has) }
	}
	return left, err
}

func (p *parser) and(depth int) (expression, error) {
	left, err := p.not(depth)
	for err == nil && p.next("and", "&") {
		a := left
		var b expression
		b, err = p.not(depth)
		left = func(has func(string) bool) bool { return a(has) && b(has) }
	}
	return left, err
}

func (p *parser) not(depth int) (expression, error) {
	switch {
	case depth > deepestExpression:
		return nil, fmt.Errorf("it is nested deeper than %d", deepestExpression)
	case p.next("not", "!"):
		inner, err := p.not(depth + 1)
		return func(has func(string) bool) bool { return !inner(has) }, err
	case p.next("("):
		inner, err := p.or(depth + 1)
		if err == nil && !p.next(")") {
			err = fmt.Errorf("a parenthesis is not closed")
		}
		return inner, err
	case len(p.words) == 0:
		return nil, fmt.Errorf("a tag is missing at the end")
	case slices.Contains([]string{"and", "or", "&", "|", ")"}, p.words[0]) || !isTag(p.words[0]):
		return nil, fmt.Errorf("%q stands where a tag is wanted", p.words[0])
	}
	tag := p.words[0]
	p.words = p.words[1:]
	return func(has func(string) bool) bool { return has(tag) }, nil
}
