package debusine

import (
	"errors"
	"strings"
	"testing"
)

func TestCronExpressionsAreReadStrictly(t *testing.T) {
	for _, fine := range []string{"0 3 * * 1", "*/15 * * * *", "0,30 8-18/2 1-7 * mon-FRI", "5/20 0 29 feb *", "0 0 29 2 1", "59 23 31 12 *", "0 0 * jan,mar,may 0,6"} {
		if _, err := ParseCron(fine); err != nil {
			t.Errorf("%q: %v", fine, err)
		}
	}
	for text, want := range map[string]string{
		"":                                      "five fields",
		"0 3 * *":                               "five fields",
		"0 3 * * 1 2027":                        "five fields",
		"0  3 * * 1":                            "five fields",
		"0 3 * * 1\n":                           "five fields",
		"@daily":                                "five fields",
		"@every 5s":                             "five fields",
		"TZ=Europe/Paris 0 3 * * 1":             "five fields",
		"60 3 * * *":                            "minute: 60 does not lie between 0 and 59",
		"0 24 * * *":                            "hour",
		"0 0 0 * *":                             "day of the month",
		"0 0 * 13 *":                            "month: 13",
		"0 0 * * 7":                             "day of the week: 7 does not lie between 0 and 6",
		"0 0 * * sat-sun":                       "is not a range",
		"0 0 * * ebm":                           "day of the week",
		"0 0 * anf *":                           "month",
		"5-1 * * * *":                           "is not a range",
		"*/0 * * * *":                           "a step of 0",
		"1- * * * *":                            "is neither",
		"-1 * * * *":                            "is neither",
		", * * * *":                             "is neither",
		"* * * * * #x":                          "five fields",
		"0 0 31 2 *":                            "never comes",
		"0 0 31 4,6,9,11 *":                     "never comes",
		strings.Repeat("0,", 200) + "0 * * * *": "five fields",
	} {
		_, err := ParseCron(text)
		var invalid Invalid
		if !errors.As(err, &invalid) || !strings.Contains(err.Error(), want) || invalid.Hint == "" || len(err.Error()) > 300 {
			t.Errorf("%.60q: %v, wanted words about %q", text, err, want)
		}
	}
}

func TestCronNamesAreTheirNumbers(t *testing.T) {
	for i, field := range cronFields {
		for at := 0; at < len(field.words); at += 3 {
			if got := field.value(field.words[at : at+3]); got != field.from+at/3 {
				t.Errorf("%s is %d in field %d", field.words[at:at+3], got, i)
			}
		}
	}
	names, err := ParseCron("0 0 * feb-apr mon-fri/2")
	numbers, err2 := ParseCron("0 0 * 2,3,4 1,3,5")
	if err != nil || err2 != nil || names != numbers {
		t.Errorf("%v is not %v: %v, %v", names, numbers, err, err2)
	}
}
