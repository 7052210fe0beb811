package rules

import (
	"reflect"
	"regexp/syntax"
	"testing"
)

// Programs that share what is alike in them are the programs that they were, and hold each class, set and text once.
func TestProgramsShareWhatIsAlike(t *testing.T) {
	s := newSharer()
	var programs []*program
	for _, source := range []string{`(free|cheap) [a-zé-ü]{1,4}x`, `cheap [a-zé-ü]{2}(free|[0-9]+)`, `^a.{0,4}?b$`, `a.b`} {
		tree, err := syntax.Parse(source, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		p, alone := newProgram(tree), newProgram(tree)
		if s.program(p); !reflect.DeepEqual(p, alone) {
			t.Errorf("%s: %+v, not %+v", source, p, alone)
		}
		if len(p.steps) != cap(p.steps) {
			t.Errorf("%s: room for %d steps more", source, cap(p.steps)-len(p.steps))
		}
		programs = append(programs, p)
	}
	sets, classes := map[octets]*octets{}, map[lettersKey]*letters{}
	for _, p := range programs {
		for _, step := range p.steps {
			for _, o := range step.peek {
				if o == nil {
					continue
				}
				if have := sets[*o]; have != nil && have != o {
					t.Errorf("the set %x is there twice", *o)
				}
				sets[*o] = o
			}
			if l := step.set; l != nil {
				key := lettersKey{l.ascii, string(l.far)}
				if have := classes[key]; have != nil && have != l {
					t.Errorf("the class %v is there twice", *l)
				}
				classes[key] = l
			}
		}
	}
}
