package quarantine

import "encoding/json"

// own takes other recipients out of a result, in every place where the result form names them (O-06). A result that
// cannot be read is withheld.
func (v View) own(result []byte, mine []Recipient) []byte {
	if v.all || len(result) == 0 {
		return result
	}
	keep := make(map[string]bool, len(mine))
	for _, r := range mine {
		keep[r.Address] = true
	}
	var whole map[string]json.RawMessage
	if json.Unmarshal(result, &whole) != nil {
		return nil
	}
	if prune(whole, keep) != nil {
		return nil
	}
	out, err := json.Marshal(whole)
	if err != nil {
		return nil
	}
	return out
}

// prune keeps, in the members that hold one item per recipient, only the items of those in keep.
func prune(object map[string]json.RawMessage, keep map[string]bool) error {
	for member, key := range map[string]string{"recipients": "address", "fates": "rcpt", "rcpt": "", "bcc": ""} {
		raw, ok := object[member]
		if !ok {
			continue
		}
		var items, mine []json.RawMessage
		if err := json.Unmarshal(raw, &items); err != nil {
			return err
		}
		for _, item := range items {
			if keep[nameOf(item, key)] {
				mine = append(mine, item)
			}
		}
		out, err := json.Marshal(mine)
		if err != nil {
			return err
		}
		object[member] = out
	}
	raw, ok := object["decision"]
	if !ok {
		return nil
	}
	var decision map[string]json.RawMessage
	err := json.Unmarshal(raw, &decision)
	if err == nil {
		err = prune(decision, keep)
	}
	if err == nil {
		object["decision"], err = json.Marshal(decision)
	}
	return err
}

// nameOf is the address of an item: the item itself, or its member key.
func nameOf(item json.RawMessage, key string) string {
	var name string
	if key == "" {
		if json.Unmarshal(item, &name) != nil {
			return ""
		}
		return name
	}
	var o map[string]json.RawMessage
	if json.Unmarshal(item, &o) != nil || json.Unmarshal(o[key], &name) != nil {
		return ""
	}
	return name
}
