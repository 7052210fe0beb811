package web

import "testing"

func TestAMachinesNamesAreToldFromPeoples(t *testing.T) {
	for _, s := range []string{"qmolyzpyxh", "a1hnknw1j1", "d2p5ckuuz69v0ygvm7zj", "vqvpjpae", "3i04bit0zm", "qteyjf"} {
		if !Random(s) {
			t.Errorf("%s looks chosen by a person", s)
		}
	}
	for _, s := range []string{"thyssenkrupp", "freshrpms", "microsoft", "sparkasse", "gmbh", "w3schools", "office365", "3com", "xn--bcher-kva", "1and1", "strato", "o2online", "example2024"} {
		if Random(s) {
			t.Errorf("%s looks made by a machine", s)
		}
	}
}
