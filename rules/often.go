package rules

import (
	"math"
	"strings"
)

// The letters of a folded text by kind: a to z, a blank, a digit, another sign of ASCII, a letter beyond ASCII.
const (
	kindBlank = 26 + iota
	kindDigit
	kindSign
	kindFar
	kinds
)

// habits says how rare a letter is behind another one in mail, by their kinds: '0' is always, each step half as often as
// two before. The first row is for the first letter of a text. Counted over wanted and unwanted mail; it only guides the
// choice of what is looked for.
const habits = "" +
	"9daa7ccb9ieab98bi998aedgdi6a7g" + // a letter's place among all letters
	"hb99ifbg9jc795jbk786cbgfbj8fcj" + // behind a
	"8efe4hhh9cj6eg7hja9f6ggf9i9a9j" + // behind b
	"7hcg6ii6ak89fh4fi9e7aijiejac9j" + // behind c
	"9eca5ifi7jheee8fkaafbefjdl3d7i" + // behind d
	"9fa8bdeidmiab7gdf679hcdcfk4f8m" + // behind e
	"9ggi78ik6jkcgb5ck7eaajhkel5cbh" + // behind f
	"8fgh5id88kkcd9aci8bfahjkfk4d8j" + // behind g
	"5ika3jkl6llhff7glch8diilfe7gbk" + // behind h
	"bc8aabbjjje8a48cib67ibngnd9hci" + // behind i
	"7cdd5eedaecdcc6cdecc4eedcdd9bh" + // behind j
	"acgh4geg7hhdhabfie7dbhgjeh4b6i" + // behind k
	"8gha5fjj5le7ei7fmhaabgil8l6g9j" + // behind l
	"5bhf5jfe8kkdbj88lhbfbiikbk5f7i" + // behind m
	"ah967c6jakcdgc8hli87bekkck5e9i" + // behind n
	"ddacf9diejea75bbn6a96cahil6iao" + // behind o
	"7gdd7icbakh7cj79k699aikibj8d6k" + // behind p
	"dfcecfddcdecdecd8ddb2ddede987i" + // behind q
	"7hcb5dci8lcecc7amb89cehdbl5g9i" + // behind r
	"ahbf6hjb8mgfgg9bka969lgnem4g6k" + // behind s
	"9jfh6jl57mmefj7coaa9akefdj5h8i" + // behind t
	"babc9ebablg8a7h9m647ajjdgj8gcj" + // behind u
	"7ffd2fhg5ijggh9hhgfffiiifhdbbi" + // behind v
	"6iih6ig75jifha7hjaaihi8ihj7d8j" + // behind w
	"9fad9edf8fgecfe8fef8fff9eg565j" + // behind x
	"cefhajijcklgdc4cjb9bhifhih2d7k" + // behind y
	"7cca4ecc7deccbaeeecbaebcda798h" + // behind z
	"7a9ab9ca8ffbab9aha86be9ibjza7g" + // behind a blank
	"eeeeeefghhhgfhhghggfggidhh624l" + // behind a digit
	"deadceeedkicdeedkcbcbgehjk383k" + // behind another sign of ASCII
	"cfdcceffdkiddbbfjaaafehiij5ea2" // behind a letter beyond it

func kindOf(r rune) int {
	switch {
	case r >= 'a' && r <= 'z':
		return int(r - 'a')
	case r == ' ':
		return kindBlank
	case r >= '0' && r <= '9':
		return kindDigit
	case r < 0x80:
		return kindSign
	}
	return kindFar
}

// usual is texts of three and four letters that stand in mail far more often than their letters tell, a blank as _, each with a
// letter that says how often: a is always, each step half as often as two before. Counted in five kinds of mail, in texts that
// stand in four of them.
const usual = "" +
	"_a_cy _a_fy _a_sy _aboy _accy _addx _allw _andr _anyx _appy _beey _butw _canv _comu _datz _disx _dou _do_y _emw _emax " +
	"_evx _evex _exv _expy _fily _fors _frou _getx _gow _grv _gux _hasx _havv _httu _i_t _if_v _infx _is_t _it_u _jusy " +
	"_liky _lisw _maiw _maky _mayy _mot _morx _myw _my_w _neu _neez _neww _nos _no_y _notv _nowy _ofr _of_s _offx _on_t " +
	"_onlx _outw _parx _perx _play _prou _rer _reax _recw _regy _remy _repx _secy _seex _shox _simz _so_y _somx _spey _staw " +
	"_subx _supz _theo _timx _to_q _tray _unsy _up_x _usew _wasx _wilw _witu _worw _yor _your ablw ablew abouy accy addx " +
	"addry agev age_x ailt ail_w ake_y all_w allyx an_ey ancey and_r anyv any_w appx ardv ard_y atiou ave_u aysz basz beeny " +
	"bilz bjey bjecy ble_w bouty bscw bscrw butw cally catiy cauz ceix ceivy centz cessy ciay clicx comr commx compw confz " +
	"consw creaz criw cribx ctiox d_byz datez dayw day_z ddry dowx downy ducy e_noy e_ofv easex eceiy ectu ect_x ectiz " +
	"een_w egay eivy eivey emaiw embz emeny encey ent_u entsy ervx essay ettu ew_w f_thv f_yw f_yox facz ffex fferx firy " +
	"forr for_t formw frou fromu fuly g_toy getw get_x ghtw ght_x grax grox h_thx hat_t havv havev he_lx he_px hist his_t " +
	"howx how_y httu httpu ia_x ialw icaty ich_y ies_y if_yx ighw ightx ignx ike_y ill_w infv infov ing_q ionr ion_t ionsw " +
	"ish_y ith_u ityw ity_x jecy jecty justx kingx leasx lickx liky likey listt ll_t locw logy lookz loww mait mailt makx " +
	"makey matiy mbery mentv morex mosy movy mplw mplex n_thu nalw nal_x nce_w needy netv neww new_y nfov nfory ng_ly nlyy " +
	"nly_y nnex notu not_v noww now_x nsuv nsuby nterw o_rey of_s of_tv onlyy ookx orkw ork_z ormay ost_y ou_cy oughy ouldw " +
	"our_t ow_v ow_tz ownx own_z party pecy pleay portw posx prot provz ptioy putx quex quiy rdsy readx recex regx repx " +
	"ressy ribx ribex riex rmaty rney rom_v s_nox s_ofw sagz sagez scrv scriw senty servx show sigx signy sionw soly somex " +
	"specy ssay stsv subv subjz subsw suppz sysy t_ofx tainy terny thist timev tingu tios tions tlyy tly_z to_q to_bx to_cy " +
	"to_gz to_hy to_mz to_pz to_ry to_sx to_uy truy tryy ttpu u_caz ualx ubjz ubsw ubscw ughx uldw uld_w ultv unsuy up_x " +
	"useru versy veryy vicx vicex vidy wantz warw wasx was_x wayy webx weey willw witu withu worv workw your you_t yourt " +
	"ystez "

// underrated says of usual texts how many times more often they stand in mail than their letters tell.
var underrated = func() map[string]float64 {
	m := map[string]float64{}
	for f := range strings.FieldsSeq(usual) {
		text := strings.ReplaceAll(f[:len(f)-1], "_", " ")
		m[text] = math.Exp2(-float64(f[len(f)-1]-'a')/2) / byLetters(text)
	}
	return m
}()

// often is about how often a folded text stands at a place of ordinary mail, from 0 to 1: what its letters tell, and as many
// times more as the most usual text in it does.
func often(text string) float64 {
	times := max(1, underrated[text])
	for at := 0; at+4 <= len(text); at++ {
		times = max(times, underrated[text[at:at+4]])
	}
	return min(1, times*byLetters(text))
}

// byLetters is what often is by the letters of a text and what each stands behind.
func byLetters(text string) float64 {
	halves := 0
	row, last := 0, rune(-1)
	for _, r := range text {
		k := kindOf(r)
		step := int(habits[row*kinds+k])
		if step -= '0'; step > 9 {
			step -= 'a' - '0' - 10
		}
		halves += step
		switch {
		case r == last:
		case k == kindDigit: // one of ten
			halves += 7
		case k == kindSign: // one of some
			halves += 6
		case k == kindFar: // one of many
			halves += 16
		}
		row, last = k+1, r
	}
	share := 1 / float64(uint64(1)<<min(halves/2, 60))
	if halves%2 == 1 {
		share /= math.Sqrt2
	}
	return share
}
