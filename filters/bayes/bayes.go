package bayes

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
)

// Config is the filter's section.
type Config struct {
	MinSpam int `yaml:"min_spam" default:"200" min:"20" max:"10000" doc:"How many messages must be taught as spam before the filter says how likely a message is to be spam."`
	MinHam  int `yaml:"min_ham" default:"200" min:"20" max:"10000" doc:"How many messages must be taught as ham before the filter says how likely a message is to be spam."`

	// How lessons are kept, for whoever keeps them.
	MaxLessons int           `yaml:"max_lessons" default:"10000" min:"100" max:"50000" doc:"How many taught messages are kept, half of them for either kind; the oldest go first."`
	MaxAge     time.Duration `yaml:"max_age" default:"730d" min:"1d" doc:"How long a taught message counts."`
	Daily      int           `yaml:"daily" default:"200" min:"1" max:"100000" doc:"How many messages one person may teach in the review pages within a day; the command line has no bound."`
}

// A Source has the model of the moment: nil while there is none, an error if there should be one and it cannot be had.
// It is asked once for each message, from many goroutines.
type Source interface{ Model() (*Model, error) }

// A Filter is the bayes filter.
type Filter struct {
	config  Config
	source  Source
	readers sync.Pool // of *reader
}

// New makes the filter. Without a source it is silent.
func New(c Config, s Source) *Filter { return &Filter{config: c, source: s} }

// A band is a range of probabilities that has a code of its own.
type band struct {
	code string
	from float64 // inclusive; of ham: the probability is at most 1-from
	spam bool
}

// bands are from the outside in, spam before ham.
var bands = [...]band{
	{"bayes.spam-999", 0.999, true}, {"bayes.spam-99", 0.99, true}, {"bayes.spam-98", 0.98, true}, {"bayes.spam-95", 0.95, true}, {"bayes.spam-90", 0.90, true}, {"bayes.spam-80", 0.80, true},
	{"bayes.ham-99", 0.99, false}, {"bayes.ham-95", 0.95, false}, {"bayes.ham-80", 0.80, false},
}

// shownTokens is how many tokens a finding shows.
const shownTokens = 6

// Check implements filters.Filter.
func (f *Filter) Check(_ context.Context, m *mail.Mail) (filters.Facts, error) {
	if err := m.Err(); err != nil {
		return filters.Facts{}, err
	}
	if f.source == nil {
		return filters.Facts{}, nil
	}
	model, err := f.source.Model()
	if model == nil || err != nil {
		return filters.Facts{}, err
	}
	taught := model.spam >= f.config.MinSpam && model.ham >= f.config.MinHam
	if !taught && len(model.twins) == 0 {
		return filters.Facts{}, nil // whatever the tokens are, nothing can be said of them: a new site need not collect them
	}
	r, ok := f.readers.Get().(*reader)
	if !ok {
		r = &reader{}
	}
	defer f.readers.Put(r)
	tokens := r.tokens(model.seed, m.Message)
	var facts filters.Facts
	if twin, ok := model.twin(tokens); ok {
		facts.Findings = append(facts.Findings, twin)
	}
	if !taught {
		return facts, nil
	}
	p := model.Probability(tokens)
	for _, b := range bands {
		if b.spam && p >= b.from || !b.spam && 1-p >= b.from {
			facts.Findings = append(facts.Findings, f.finding(b, p, model, r, m.Message))
			break
		}
	}
	return facts, nil
}

// finding tells what a message is like and shows the tokens that say so.
func (f *Filter) finding(b band, p float64, model *Model, r *reader, m *mail.Message) filters.Finding {
	like := "ham"
	if b.spam {
		like = "spam"
	}
	out := filters.Finding{Code: b.code, Text: fmt.Sprintf("The message is like what was taught here as %s: %s likely to be spam (learnt from %d spam and %d ham).", like, percent(p), model.spam, model.ham)}
	tokens := model.strongest(r.list, b.spam, shownTokens)
	wanted := make(map[uint32]*word, len(tokens))
	for _, t := range tokens {
		wanted[t] = &word{}
	}
	r.words(model.seed, m, wanted)
	for _, t := range tokens {
		w := wanted[t]
		out.Proof = append(out.Proof, filters.Evidence{
			Where: w.place.label(), What: mail.Printable(fmt.Sprintf("%s (%+.1f)", strings.ToLower(w.text), model.weight(t)), 200),
		})
	}
	if len(out.Proof) == 0 {
		out.Proof = []filters.Evidence{{Where: "message", What: "no single token stands out"}}
	}
	return out
}

// percent writes a probability so that what is not certain is never shown as certain.
func percent(p float64) string {
	switch v := 100 * p; {
	case v >= 99.995:
		return "more than 99.99 %"
	case v < 0.005:
		return "less than 0.01 %"
	case v >= 99 || v < 1:
		return fmt.Sprintf("%.2f %%", v)
	default:
		return fmt.Sprintf("%.0f %%", math.Round(v))
	}
}
