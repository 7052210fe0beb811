package web

import "strings"

// surprise holds, for each letter and the one behind it, how unlikely the two are in words of European languages and names of firms: a
// quarter of a bit for each step above '0'. Counted in twenty thousand words of free documentation.
const surprise = "" +
	`PC@?QLCRDWH<A=TBX<?;GIMKIQ` +
	`<HFK=KMU=ER;KK>IXA@J=OURBP` +
	`<MFK=KI=C[>AGM9JRCD=ELTWMY` +
	`?HH?7HKO;QQDIIAIR@@HCKLLHW` +
	`AJ@>EEGNJVOAC=KFK:<@NHGBJV` +
	`?MHF?>KQ9b\>GH=GW@BD@WRTHY` +
	`BNDM8JFB>[SBH@=FX>?ECMPTOO` +
	`9PMF8MQT=aPHGJ<KaBGBCPOUIT` +
	`DG@CCECXTVO@A8>FWD>>SEXJ[E` +
	`;VOF9MOO?OOOEG;DVM<M<VKVVV` +
	`@IKF6GCJ<TPFKFCFTE=CCQNQIW` +
	`=NJC9JOS:YO=ON<LVNDBCKRVAU` +
	`9DKH9ONR=YLGDL==[LAFBPTVIY` +
	`?M?>=E<PAUGIMF@KVM>;GHQWLS` +
	`FF?ALDGQIUIAA:DAb;ABADENQW` +
	`;PGK:KMFAbJ@KO=BW;B?DTPVL\` +
	`JHGGLUUJGUOFOHULCDEH2UOUUL` +
	`=LEE8JGR=_IGEG=IXA?AFIQWFX` +
	`CMBL:LKA=ZHDIKBBRI@9APKUDS` +
	`=LFJ9INA;[QGHK@G[=@DENNNBT` +
	`DACHADFWAYQ?@:KAb===WR[LSR` +
	`9KFH5JOJ<_SIHKCINJFHNKINSV` +
	`9HFI<HMC<WPGJA>FQ=@HJNPRRR` +
	`AG@G>EVL?\\HDQE:SF>9LKSEIV` +
	`CHFIBJKNB]TE=>C7TF<>KLKONK` +
	`?MOO3ORI=XXJIJ?RXGKOHXRXEE`

// The bounds of what a name that somebody chose looks like.
const (
	maxSurprise   = 6.05 // bits for each pair of letters: of 1,900 names of honest sites none had more
	minRandom     = 6    // octets
	manyChanges   = 4    // between letters and digits
	surestLetters = 4    // letters that must be there to speak of surprise
)

// Random reports whether a label looks made by a machine: letters that no language puts next to each other, or letters and digits that
// change too often.
func Random(label string) bool {
	if len(label) < minRandom || strings.HasPrefix(label, "xn--") {
		return false
	}
	changes, pairs, sum := 0, 0, 0
	for i := 1; i < len(label); i++ {
		a, b := label[i-1], label[i]
		digit := b >= '0' && b <= '9'
		if digit != (a >= '0' && a <= '9') {
			changes++
		}
		if a >= 'a' && a <= 'z' && b >= 'a' && b <= 'z' {
			sum += int(surprise[int(a-'a')*26+int(b-'a')]) - '0'
			pairs++
		}
	}
	return changes >= manyChanges || pairs > surestLetters && float64(sum)/4 > maxSurprise*float64(pairs)
}
