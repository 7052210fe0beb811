// Package people remembers who wrote good mail to whom at this site, what names they bear, and which domains they linked to.
//
// It is not an address book to write in and proves nothing about anybody: everything in it was observed, ages, and can be forgotten.
package people
