// Package trial tells how right verdicts were about mail that is known to be wanted or not: how much of each set was
// held, what other thresholds would have held, what each finding is worth, and which wanted mail was wronged, and why.
//
// It judges nothing itself and changes no weights.
package trial
