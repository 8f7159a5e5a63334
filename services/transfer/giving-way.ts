/** Goes before a command line: what copies while a vserver runs gives way to guests and agents. nice(1), ionice(1); what they are refused they do without. */
export const givingWay = ['nice', '-n', '10', 'ionice', '-t', '-c', '2', '-n', '7'];
